"""The brake's state in Postgres: one row that all workers of a group see and that outlives them."""

from datetime import UTC, datetime

import msgspec

from schemas.documents.run_summary import BrakeSummary, begin_summary
from schemas.pipeline.breaker import BreakerCause, BreakerState
from sinks.postgres.connection import Connection, connection
from sinks.postgres.kept_json import kept_object
from sinks.postgres.runs.history import started_by
from sinks.postgres.statements import sql


async def read_brake(conn: Connection, group: str) -> BreakerState:
    """The state as it stands."""
    row = await conn.fetchrow(sql("brake_read"), group)
    return BreakerState() if row is None else BreakerState(**{**row, "details": kept_object(row["details"])})


async def engage_brake(conn: Connection, group: str, by: str, cause: BreakerCause, *, by_hand: bool) -> BreakerState:
    """Puts the brake on, unless it is on or released; returns the state that now stands. A worker's stands in the history."""
    details = msgspec.json.encode(cause.details).decode()
    news = await conn.fetchval(sql("brake_engage"), group, by, cause.reason, details, by_hand)
    if news and not by_hand:
        await _note(conn, "brake-engage", by, cause.reason, engaged=True)
    return await read_brake(conn, group)


async def let_go(conn: Connection, group: str, by: str) -> bool:
    """Lets a brake go because a probe passed; whether it did, as one that an operator put on stays."""
    reason = await conn.fetchval(sql("brake_let_go"), group, by)
    if reason is not None:
        await _note(conn, "brake-release", by, reason, engaged=False)
    return reason is not None


async def _note(conn: Connection, script: str, by: str, reason: str, *, engaged: bool) -> None:
    """Writes what the stream did by itself into the history, where operators' words stand; not in one transaction with it.

    A history that can't be written keeps no brake from what it does.
    """
    now = datetime.now(UTC)
    counters = {"targets_total": 1, "processed_total": 1, "succeeded_total": 1}
    begun = begin_summary(script, now, BrakeSummary)
    summary = begun.ended(now, now, reason=reason, engaged=engaged, **counters)
    await conn.execute(sql("run_end"), summary.run_id, script, by, now, now, 0, summary.model_dump_json())


async def brake_state(dsn: str, group: str) -> BreakerState:
    """The state, for those who only look."""
    async with connection(dsn, "brake") as conn:
        return await read_brake(conn, group)


async def engage_by_hand(dsn: str, group: str, reason: str) -> BreakerState:
    """Puts the brake on until somebody releases it; no probe lets it go."""
    async with connection(dsn, "brake") as conn:
        return await engage_brake(conn, group, started_by(), BreakerCause(reason, {}), by_hand=True)


async def release_brake(dsn: str, group: str, seconds: float, reason: str) -> BreakerState:
    """Lets dead letters pass for so long, whatever their share; returns the state that now stands."""
    async with connection(dsn, "brake") as conn:
        await conn.execute(sql("brake_release"), group, seconds, started_by(), reason)
        return await read_brake(conn, group)
