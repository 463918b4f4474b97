"""The circuit breaker's state in Postgres: one row for each consumer group, which all workers of the group share."""

from datetime import UTC, datetime

import msgspec

from schemas.documents.run_summary import BrakeSummary, begin_summary
from schemas.pipeline.breaker import BreakerCause, BreakerState
from sinks.postgres.connection import Connection, connection
from sinks.postgres.kept_json import kept_object
from sinks.postgres.runs.history import started_by
from sinks.postgres.statements import sql


async def read_breaker(conn: Connection, group: str) -> BreakerState:
    """Return the current state of the consumer group's circuit breaker."""
    row = await conn.fetchrow(sql("breaker_read"), group)
    return BreakerState() if row is None else BreakerState(**{**row, "details": kept_object(row["details"])})


async def trip_breaker(conn: Connection, group: str, by: str, cause: BreakerCause, *, by_hand: bool) -> BreakerState:
    """Trip the circuit breaker, unless it is open or an operator has bypassed it; return the resulting state.

    A trip by a worker is also written to the history of runs.
    """
    details = msgspec.json.encode(cause.details).decode()
    news = await conn.fetchval(sql("breaker_trip"), group, by, cause.reason, details, by_hand)
    if news and not by_hand:
        await _note(conn, "brake-engage", by, cause.reason, engaged=True)
    return await read_breaker(conn, group)


async def let_go(conn: Connection, group: str, by: str) -> bool:
    """Reset the circuit breaker because a probe (a trial commit) passed; return whether the breaker was reset.

    A breaker that an operator tripped stays open.
    """
    reason = await conn.fetchval(sql("breaker_reset"), group, by)
    if reason is not None:
        await _note(conn, "brake-release", by, reason, engaged=False)
    return reason is not None


async def _note(conn: Connection, script: str, by: str, reason: str, *, engaged: bool) -> None:
    """Write a worker's change of the breaker to the history of operators' runs, after the change is committed.

    An error here does not affect the breaker.
    """
    now = datetime.now(UTC)
    counters = {"targets_total": 1, "processed_total": 1, "succeeded_total": 1}
    begun = begin_summary(script, now, BrakeSummary)
    summary = begun.ended(now, now, reason=reason, engaged=engaged, **counters)
    await conn.execute(sql("run_end"), summary.run_id, script, by, now, now, 0, summary.model_dump_json())


async def breaker_state(dsn: str, group: str) -> BreakerState:
    """Open a connection, and return the current state of the consumer group's circuit breaker."""
    async with connection(dsn, "brake") as conn:
        return await read_breaker(conn, group)


async def trip_by_operator(dsn: str, group: str, reason: str) -> BreakerState:
    """Trip the circuit breaker until an operator releases it; a probe (trial commit) that passes does not reset it."""
    async with connection(dsn, "brake") as conn:
        return await trip_breaker(conn, group, started_by(), BreakerCause(reason, {}), by_hand=True)


async def release_breaker(dsn: str, group: str, seconds: float, reason: str) -> BreakerState:
    """Bypass the breaker for `seconds`: events are dead-lettered, however large their share; return the new state."""
    async with connection(dsn, "brake") as conn:
        await conn.execute(sql("breaker_release"), group, seconds, started_by(), reason)
        return await read_breaker(conn, group)
