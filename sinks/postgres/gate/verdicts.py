"""The quality gate's windows and verdicts in Postgres.

The gate is the rule for which share of retried and dropped events is acceptable. It is evaluated for each target: every
site, and the total. A verdict is the result, pass or fail. Each change of a verdict is published once.

A worker's account may write any number of rows for sites that are not registered. Of these sites, the statements return a
limited number, after the registered ones.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from typing import NamedTuple

import asyncpg
import msgspec
import structlog
from pydantic import ValidationError

from schemas.documents.gate import GateChange, Verdict, WindowSums
from sinks.cooperative import Turn
from sinks.postgres.connection import Connection, connection, fetch
from sinks.postgres.kept_json import kept_object
from sinks.postgres.statements import sql

log = structlog.get_logger(__name__)


async def window_sums(dsn: str, window_seconds: float) -> list[WindowSums]:
    """Return the numbers of events by outcome in the last `window_seconds`, for each site and for all sites."""
    return [WindowSums(**row) for row in await fetch(dsn, "gate", sql("gate_sums"), window_seconds)]


async def judge(dsn: str, window_seconds: float, rule: Callable[[WindowSums, bool], Verdict]) -> list[GateChange]:
    """Evaluate the quality gate for every target, and return the changes of verdicts that are not published yet.

    A target is one site, or the total of all sites. `rule` is called for each target with its numbers of events in the
    last `window_seconds` (zero if there were none), and with True if the target's last verdict is a fail. `rule`
    returns the new verdict, pass or fail. While another worker evaluates the gate, [] is returned.
    """
    async with connection(dsn, "gate") as conn, conn.transaction():
        if not await conn.fetchval(sql("gate_judge_lock")):
            return []
        sums = {row["target"]: WindowSums(**row) for row in await conn.fetch(sql("gate_sums"), window_seconds)}
        stood = {row["target"]: bool(row["passed"]) for row in await conn.fetch(sql("gate_states"), list(sums))}
        turn = Turn()
        for target in sorted(sums.keys() | stood.keys()):
            await turn.let_others()
            found = sums.get(target, WindowSums(target, 0, 0, 0, 0, 0))
            verdict = rule(found, not stood.get(target, True))
            if verdict.passed != stood.get(target, True):
                await _change(conn, found, verdict, window_seconds)
        return await _unpublished(conn)


async def _unpublished(conn: Connection) -> list[GateChange]:
    """Return changes that are not published yet.

    An unreadable one is marked as published. It would otherwise be read and logged again by each evaluation, and very
    many would keep the others from being read.
    """
    turn, changes = Turn(), []
    for row in await conn.fetch(sql("gate_unpublished")):
        await turn.let_others()
        if (change := _read(row)) is None:
            await conn.execute(sql("gate_published"), row["target"], row["change_id"])
        else:
            changes.append(change)
    return changes


async def _change(conn: Connection, sums: WindowSums, verdict: Verdict, window_seconds: float) -> None:
    change = {
        "reasons": verdict.reasons,
        "window_seconds": round(window_seconds),
        "processed": sums.processed,
        "retried": sums.retried,
        "dropped": sums.dropped,
    }
    await conn.execute(sql("gate_change"), sums.target, verdict.passed, msgspec.json.encode(change).decode())


def _read(row: asyncpg.Record) -> GateChange | None:
    moment = f"{row['changed_at'].astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    own = {"target": row["target"], "passed": row["passed"], "change_id": row["change_id"], "changed_at": moment}
    try:
        return GateChange.model_validate(kept_object(row["change"]) | own)
    except ValidationError:
        # An evaluation did not write this row. It is skipped, so that the other changes are still published.
        log.warning("gate_change_unreadable", target=row["target"])
        return None


class Claim(NamedTuple):
    """An announced change of a gate's verdict (pass or fail), before it is compared with the stored changes.

    `target` is one site, or the total of all sites.
    """

    target: str
    change_id: str


async def standing_changes(dsn: str, claims: Sequence[Claim]) -> list[GateChange]:
    """Return the stored changes of the gate's verdicts (pass or fail) that these announcements name.

    An announcement is left out if no stored change has its id, as it is then forged, or if a later change of the same
    target is stored. Raises SinkUnavailable.
    """
    turn, changes = Turn(), []
    for row in await fetch(dsn, "gate", sql("gate_changes_standing"), *map(list, zip(*claims, strict=True))):
        await turn.let_others()
        if (change := _read(row)) is not None:
            changes.append(change)
    return changes


async def published(dsn: str, changes: list[GateChange]) -> None:
    """Record that these changes of the gate's verdicts (pass or fail) have been published on the gate's topic."""
    async with connection(dsn, "gate") as conn:
        for change in changes:
            await conn.execute(sql("gate_published"), change.target, change.change_id)


class Standing(NamedTuple):
    """A target of the quality gate (one site, or all) whose last verdict is a fail, and the time of that verdict."""

    target: str
    changed_at: datetime


async def failing(dsn: str) -> list[Standing]:
    """Return the gate's targets (each site, and the total) whose last verdict is a fail; the total comes first."""
    return [Standing(**row) for row in await fetch(dsn, "gate", sql("gate_failing"))]


class Day(NamedTuple):
    """Numbers of normalised events and retried attempts of one day (UTC).

    Dropped events are not among them; `sinks.postgres.audit.drops` counts these.
    """

    day: date
    normalized: int
    retried: int


async def days(dsn: str, count: int, site_id: int | None) -> list[Day]:
    """Return the counts of at most `count` days with events, up to today, the oldest day first; of one site or all."""
    return [Day(**row) for row in await fetch(dsn, "gate", sql("kpi_days"), count, site_id)]
