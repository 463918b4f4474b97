"""Replay plans: creation, search, runs, cancellation, and the outcomes of their items.

A replay plan is a stored list of dead letters, its items, that `bridge dlq replay` sends to the raw topic again.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from schemas.documents.dead_letter_filter import DeadLetterFilter
from schemas.documents.replay import Outcome, Plan, PlanLine, PlanReport, PlanState
from schemas.errors import InvalidInput
from schemas.pipeline.record import Provenance
from sinks.postgres.connection import Connection, connection, fetch
from sinks.postgres.dead_letters.filter import query
from sinks.postgres.id_prefixes import MOST_NAMED, SHORTEST, only
from sinks.postgres.kept_json import kept_list, kept_object
from sinks.postgres.records import named, provenance_of
from sinks.postgres.runs.history import started_by, without_host
from sinks.postgres.statements import sql

FOREIGN: Final = "its site belongs to another organisation now"
"""Why an item of an organisation's plan counts as skipped, if the item's site has been given to another one since."""

_MOST_COUNTED: Final = 5000
"""The most combinations of site, outcome and reason by which a plan's items are counted."""


class Became(NamedTuple):
    """The number of a site's items (dead letters of a replay plan) with one outcome.

    `why` is the reason of the outcome, for items that were dropped again or skipped. The items of rare combinations of
    site, outcome and reason may be counted together, without a site and with the reason `other`.
    """

    site_id: int | None
    outcome: Outcome
    why: str | None
    items: int


class Held(NamedTuple):
    """The numbers of an organisation's replay plans and of their items (dead letters), and the plans' size.

    `bytes` is the size of the plans' filters, corrections and reports as Postgres stores them.
    """

    plans: int
    items: int
    bytes: int


class Claims(NamedTuple):
    """The number of dead letters that are claimed (reserved) for a replay plan.

    `in_doubt` of them were not recorded as sent by the plan's run before it ended.
    """

    claimed: int
    in_doubt: int


class InFlight(NamedTuple):
    """What an organisation has in flight (claimed, and not committed by a worker) over all its plans, in items.

    `own` are those of one plan and of plans that do not run, `others` those of the `running` other plans that run. `at`
    is the time of the count.
    """

    at: datetime
    running: int
    own: int
    others: int


@asynccontextmanager
async def planning(dsn: str, *, keep: bool) -> AsyncIterator[Connection]:
    """Open a transaction in which a replay plan is created. With `keep` it is committed, otherwise rolled back."""
    async with connection(dsn, "replay") as conn:
        made = conn.transaction()
        await made.start()
        try:
            yield conn
        except BaseException:
            if not conn.is_closed():
                await made.rollback()
            raise
        await (made.commit() if keep else made.rollback())


async def freeze(
    conn: Connection,
    replay_id: str,
    chosen: DeadLetterFilter,
    *,
    reason: str,
    corrections: Sequence[dict[str, Any]],
    limit: int | None,
    org_id: int | None = None,
) -> int:
    """Create a replay plan whose items are the dead letters that match the filter now; return the number of items.

    `org_id` is the plan's organisation, None for all. The caller must have limited the filter to this organisation.
    """
    asked = chosen.model_dump_json(exclude_none=True)
    operations = msgspec.json.encode(corrections).decode()
    await conn.execute(sql("replay_create"), replay_id, started_by(), reason, asked, operations, org_id)
    done: str = await conn.execute(*query(sql("replay_freeze"), chosen, replay_id, limit))
    return int(done.rsplit(" ", 1)[1])


async def held(conn: Connection, org_id: int) -> Held:
    """Return number, items and bytes of an organisation's replay plans, also those created in this transaction."""
    return Held(**await conn.fetchrow(sql("replay_held"), org_id))


async def complete(conn: Connection, replay_id: str, report: PlanReport) -> None:
    """Store the report of the dry run of a replay plan, and the plan's number of items."""
    await conn.execute(sql("replay_planned"), replay_id, report.model_dump_json())


async def find_plan(conn: Connection, asked: str, *, org_id: int | None = None) -> Plan:
    """Return the replay plan whose id begins with `asked`, among the plans of one organisation or of all.

    Raises InvalidInput unless exactly one plan matches.
    """
    wanted = asked.strip().lower()
    rows = await conn.fetch(sql("replay_find"), wanted, org_id, MOST_NAMED + 1) if len(wanted) >= SHORTEST else []
    only("plan", asked, [row["replay_id"] for row in rows], "bridge dlq plans")
    return _plan(rows[0])


async def list_plans(dsn: str, limit: int, *, org_id: int | None = None) -> list[PlanLine]:
    """Return at most `limit` replay plans, the newest first, of one organisation or of all."""
    rows = await fetch(dsn, "replay", sql("replay_list"), limit, org_id)
    return [PlanLine(**{**row, "state": PlanState(row["state"])}) for row in rows]


async def prune(dsn: str, seconds: float) -> int:
    """Remove replay plans last changed more than `seconds` ago; return their number. Raises SinkUnavailable."""
    async with connection(dsn, "prune") as conn:
        done: str = await conn.execute(sql("replays_prune"), seconds)
    return int(done.rsplit(" ", 1)[1])


async def begin(conn: Connection, plan: Plan) -> None:
    """Record that a run of the replay plan begins; raises InvalidInput if the plan was cancelled."""
    if await conn.fetchval(sql("replay_begin"), plan.replay_id) is None:
        raise InvalidInput(f"the plan {plan.replay_id} was cancelled by {without_host(plan.ended_by)}; make a new one")


async def state_of(conn: Connection, replay_id: str) -> PlanState:
    """Return the stored state of the replay plan."""
    return PlanState(await conn.fetchval(sql("replay_state"), replay_id))


async def end(conn: Connection, replay_id: str, because: str) -> None:
    """Record that the run of a replay plan has ended: it has sent all items, or ended early `because` of something.

    A cancelled plan stays cancelled.
    """
    await conn.execute(sql("replay_end"), replay_id, started_by(), because)


async def cancel(conn: Connection, replay_id: str, reason: str, *, sent: bool = False) -> bool:
    """Cancel a replay plan, so that its run stops; return False if the plan has ended already.

    With `sent`, a plan whose items were all sent is cancelled too.
    """
    return await conn.fetchval(sql("replay_cancel"), replay_id, started_by(), reason, sent) is not None


async def outcomes(conn: Connection, replay_id: str, org_id: int | None = None) -> list[Became]:
    """Return the numbers of a replay plan's items (dead letters) by site and outcome.

    If `org_id` is given, items whose site does not belong to that organisation now only count as skipped, FOREIGN.
    """
    return _became(await conn.fetch(sql("replay_outcomes"), replay_id, org_id, FOREIGN, _MOST_COUNTED))


async def canary_outcomes(conn: Connection, replay_id: str, first: int) -> list[Became]:
    """Return the outcomes of the first `first` items that the replay plan has sent (its canary)."""
    return _became(await conn.fetch(sql("replay_canary"), replay_id, first, _MOST_COUNTED))


async def claims(conn: Connection, replay_id: str) -> Claims:
    """Return the number of dead letters that are claimed (reserved) for this replay plan now."""
    return Claims(**await conn.fetchrow(sql("replay_claims"), replay_id))


async def claims_after(conn: Connection, replay_id: str, after: int, most: int) -> tuple[list[Provenance], int]:
    """Return at most `most` of the dead letters that are claimed for this replay plan, and the last one's position.

    Only items after position `after` are considered. The order is that in which workers lock dead letters.
    """
    rows = await conn.fetch(sql("replay_claims_page"), replay_id, after, most)
    return sorted(map(provenance_of, rows)), rows[-1]["position"] if rows else after


async def in_flight(conn: Connection, replay_id: str, after: int, up_to: int) -> int:
    """Return the number of the replay plan's items that were sent, and whose outcome is not committed yet.

    Only items after position `after`, up to and including `up_to`, are considered.
    """
    return int(await conn.fetchval(sql("replay_in_flight"), replay_id, after, up_to))


async def org_in_flight(conn: Connection, plan: Plan, since: datetime | None) -> InFlight:
    """Return what the plan's organisation has in flight. Plans without an organisation count together.

    Plans that neither run nor were changed after `since` are left out.
    """
    return InFlight(**await conn.fetchrow(sql("replay_turn"), plan.replay_id, plan.org_id, since))


async def lock_turn(conn: Connection, plan: Plan) -> PlanState:
    """Wait until no other run of the plan's organisation claims items; none does until the transaction ends.

    Return the plan's state.
    """
    rows = await conn.fetch(sql("replay_turn_lock"), plan.replay_id, plan.org_id)
    return next(PlanState(row["state"]) for row in rows if row["own"])


async def is_left(conn: Connection, replay_id: str) -> bool:
    """Return whether dead letters of the replay plan are open or claimed (reserved), regardless of its state."""
    return bool(await conn.fetchval(sql("replay_left"), replay_id))


def summed(found: Iterable[Became], outcome: Outcome | None = None) -> dict[str, int]:
    """Return the number of a plan's items (dead letters) by outcome; with `outcome`, those with it by reason."""
    sums: dict[str, int] = {}
    for one in found:
        if outcome is None or one.outcome is outcome:
            name = one.outcome.value if outcome is None else one.why or ""
            sums[name] = sums.get(name, 0) + one.items
    return sums


def _became(rows: Sequence[Any]) -> list[Became]:
    return [Became(row["site_id"], Outcome(row["outcome"]), row["why"], row["items"]) for row in rows]


def _plan(row: Any) -> Plan:
    objects = {name: kept_object(row[name]) for name in ("filter", "report")}
    return named(Plan, row, corrections=kept_list(row["corrections"]), state=PlanState(row["state"]), **objects)
