"""Plans: made, found, taken up, cancelled, ended, and what became of their items."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec

from schemas.documents.dead_letter_filter import DeadLetterFilter
from schemas.documents.replay import Outcome, Plan, PlanLine, PlanReport, PlanState
from schemas.errors import InvalidInput
from schemas.pipeline.record import Provenance
from sinks.postgres.connection import Connection, connection
from sinks.postgres.dead_letters.filter import conditions
from sinks.postgres.id_prefixes import MOST_NAMED, SHORTEST, only
from sinks.postgres.kept_json import kept_list, kept_object
from sinks.postgres.runs.history import started_by, without_host
from sinks.postgres.statements import sql


class Became(NamedTuple):
    """How many items of a site became what; `why` is there for what was dropped again or skipped."""

    site_id: int | None
    outcome: Outcome
    why: str | None
    items: int


class Held(NamedTuple):
    """How many plans there are, their items, and bytes of filters, corrections and reports as Postgres stores them."""

    plans: int
    items: int
    bytes: int


@asynccontextmanager
async def planning(dsn: str, *, keep: bool) -> AsyncIterator[Connection]:
    """A transaction in which a plan is made; it ends in nothing unless the plan is to be kept."""
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
    """Freezes what fits the filter now as the items of a new plan; returns the last position.

    `org_id` is the organisation that the plan is bound to: the filter must be, too.
    """
    asked = chosen.model_dump_json(exclude_none=True)
    operations = msgspec.json.encode(corrections).decode()
    await conn.execute(sql("replay_create"), replay_id, started_by(), reason, asked, operations, org_id)
    where = conditions(chosen, after=2)
    done: str = await conn.execute(where.within(sql("replay_freeze")), replay_id, limit, *where.parameters)
    return int(done.rsplit(" ", 1)[1])


async def held(conn: Connection, org_id: int) -> Held:
    """What the plans of an organisation hold now, those of this transaction included."""
    return Held(**await conn.fetchrow(sql("replay_held"), org_id))


async def complete(conn: Connection, replay_id: str, report: PlanReport) -> None:
    """Notes what the dry run said, and how large the plan is now."""
    await conn.execute(sql("replay_planned"), replay_id, report.model_dump_json())


async def find_plan(conn: Connection, asked: str, *, org_id: int | None = None) -> Plan:
    """The plan whose id begins so, of one organisation or of all; raises InvalidInput unless there is exactly one."""
    wanted = asked.strip().lower()
    rows = await conn.fetch(sql("replay_find"), wanted, org_id, MOST_NAMED + 1) if len(wanted) >= SHORTEST else []
    only("plan", asked, [row["replay_id"] for row in rows], "bridge dlq plans")
    return _plan(rows[0])


async def list_plans(dsn: str, limit: int, *, org_id: int | None = None) -> list[PlanLine]:
    """The newest plans first, of one organisation or of all."""
    async with connection(dsn, "replay") as conn:
        rows = await conn.fetch(sql("replay_list"), limit, org_id)
    return [PlanLine(**{**row, "state": PlanState(row["state"])}) for row in rows]


async def prune(dsn: str, seconds: float) -> int:
    """Removes plans that nothing has touched for so long; how many. Raises SinkUnavailable."""
    async with connection(dsn, "prune") as conn:
        done: str = await conn.execute(sql("replays_prune"), seconds)
    return int(done.rsplit(" ", 1)[1])


async def begin(conn: Connection, plan: Plan) -> None:
    """Takes the plan up; raises InvalidInput if it was cancelled."""
    if await conn.fetchval(sql("replay_begin"), plan.replay_id) is None:
        raise InvalidInput(f"the plan {plan.replay_id} was cancelled by {without_host(plan.ended_by)}; make a new one")


async def state_of(conn: Connection, replay_id: str) -> PlanState:
    """How far the plan is said to be."""
    return PlanState(await conn.fetchval(sql("replay_state"), replay_id))


async def end(conn: Connection, replay_id: str, because: str) -> None:
    """Notes that its run ended: all was sent, or why it was not; a plan that was cancelled stays so."""
    await conn.execute(sql("replay_end"), replay_id, started_by(), because)


async def cancel(conn: Connection, replay_id: str, reason: str, *, sent: bool = False) -> bool:
    """Tells whoever runs it to stop; False if it is over already. `sent` is to cancel one that says that all was sent."""
    return await conn.fetchval(sql("replay_cancel"), replay_id, started_by(), reason, sent) is not None


async def outcomes(conn: Connection, replay_id: str) -> list[Became]:
    """What became of all items of a plan."""
    return _became(await conn.fetch(sql("replay_outcomes"), replay_id))


async def canary_outcomes(conn: Connection, replay_id: str, first: int) -> list[Became]:
    """What became of the first items that were sent."""
    return _became(await conn.fetch(sql("replay_canary"), replay_id, first))


async def claims(conn: Connection, replay_id: str) -> dict[Provenance, bool]:
    """What the plan has claimed still, and whether its run was killed before it noted that it sent it."""
    rows = await conn.fetch(sql("replay_claims"), replay_id)
    return {Provenance(*place): in_doubt for *place, in_doubt in rows}


async def in_flight(conn: Connection, replay_id: str, after: int, up_to: int) -> bool:
    """Whether something that was sent of the items behind position `after` up to `up_to` is not settled."""
    found: bool = await conn.fetchval(sql("replay_in_flight"), replay_id, after, up_to)
    return found


async def is_left(conn: Connection, replay_id: str) -> bool:
    """Whether the ledger has dead letters of the plan that are open or claimed, whatever the plan says."""
    left: bool = await conn.fetchval(sql("replay_left"), replay_id)
    return left


def summed(found: Iterable[Became], outcome: Outcome | None = None) -> dict[str, int]:
    """Items by outcome or, for one outcome, by why."""
    sums: dict[str, int] = {}
    for one in found:
        if outcome is None or one.outcome is outcome:
            name = one.outcome.value if outcome is None else one.why or ""
            sums[name] = sums.get(name, 0) + one.items
    return sums


def _became(rows: Sequence[Any]) -> list[Became]:
    return [Became(row["site_id"], Outcome(row["outcome"]), row["why"], row["items"]) for row in rows]


def _plan(row: Any) -> Plan:
    read = {"corrections": kept_list(row["corrections"])} | {
        name: kept_object(row[name]) for name in ("filter", "report")
    }
    return Plan(**{**row, **read, "state": PlanState(row["state"])})
