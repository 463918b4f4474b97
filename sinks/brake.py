"""The brake's state in Postgres: one row that all workers of a group see and that outlives them."""

import msgspec

from schemas.brake import BrakeCause, BrakeState
from sinks.postgres import Connection, connection, sql
from sinks.runs import started_by


async def read_brake(conn: Connection, group: str) -> BrakeState:
    """The state as it stands."""
    row = await conn.fetchrow(sql("brake_read"), group)
    return BrakeState() if row is None else BrakeState(**{**row, "details": msgspec.json.decode(row["details"])})


async def engage_brake(conn: Connection, group: str, by: str, cause: BrakeCause, *, by_hand: bool) -> BrakeState:
    """Puts the brake on, unless it is on or released; returns the state that now stands."""
    details = msgspec.json.encode(cause.details).decode()
    await conn.execute(sql("brake_engage"), group, by, cause.reason, details, by_hand)
    return await read_brake(conn, group)


async def brake_state(dsn: str, group: str) -> BrakeState:
    """The state, for those who only look."""
    async with connection(dsn, "brake") as conn:
        return await read_brake(conn, group)


async def engage_by_hand(dsn: str, group: str, reason: str) -> BrakeState:
    """Puts the brake on until somebody releases it; no probe lets it go."""
    async with connection(dsn, "brake") as conn:
        return await engage_brake(conn, group, started_by(), BrakeCause(reason, {}), by_hand=True)


async def release_brake(dsn: str, group: str, seconds: float, reason: str) -> BrakeState:
    """Lets dead letters pass for so long, whatever their share; returns the state that now stands."""
    async with connection(dsn, "brake") as conn:
        await conn.execute(sql("brake_release"), group, seconds, started_by(), reason)
        return await read_brake(conn, group)
