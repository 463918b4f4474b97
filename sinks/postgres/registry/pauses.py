"""Pauses of scripts, sites, organisations and partitions, as Postgres stores them.

Workers and gateways read the pauses together with the registry of scripts, and are notified of changes.
"""

from schemas.errors import InvalidInput
from schemas.pipeline.pause import Pause, PauseKind
from sinks.postgres.connection import connection, fetch
from sinks.postgres.registry.cache import tell_of_change
from sinks.postgres.registry.history import sign_changes
from sinks.postgres.runs.history import started_by
from sinks.postgres.statements import sql


async def list_pauses(dsn: str) -> list[Pause]:
    """Return all pauses, the oldest first."""
    return [Pause(**{**row, "kind": PauseKind(row["kind"])}) for row in await fetch(dsn, "pause", sql("pauses_read"))]


async def demand_target(dsn: str, kind: PauseKind, target: str) -> None:
    """Raise InvalidInput unless this script, site or organisation is registered."""
    ((known,),) = await fetch(dsn, "pause", sql("pause_target"), kind.value, target)
    if not known:
        raise InvalidInput(f"{kind.value} {target} is not registered; see `bridge script list`")


async def start_pause(dsn: str, kind: PauseKind, target: str, reason: str) -> bool:
    """Pause an existing script, site, organisation or partition; return whether it was not paused before."""
    return await _change(dsn, reason, sql("pause_add"), kind.value, target, started_by(), reason)


async def end_pause(dsn: str, kind: PauseKind, target: str, reason: str) -> bool:
    """End the pause of a script, site, organisation or partition; return whether it was paused."""
    return await _change(dsn, reason, sql("pause_end"), kind.value, target)


async def _change(dsn: str, reason: str, statement: str, *values: str) -> bool:
    async with connection(dsn, "pause") as conn:
        async with conn.transaction():
            await sign_changes(conn, reason)
            changed = bool(await conn.fetchval(statement, *values))
        await tell_of_change(conn)
        return changed
