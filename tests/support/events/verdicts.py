"""Changes of the gate's verdict as a worker writes them to Postgres."""

import asyncpg
import msgspec

from schemas.config.settings import Settings
from schemas.documents.gate import GateChange
from sinks.postgres.gate.verdicts import Claim, standing_changes
from sinks.postgres.statements import sql


async def add_change(settings: Settings, target: str, *, reasons: list[str]) -> GateChange:
    """Insert a published change of the target's verdict to fail."""
    change = {"reasons": reasons, "window_seconds": 60, "processed": 1, "retried": 0, "dropped": 1}
    conn = await asyncpg.connect(settings.dsn)
    try:
        await conn.execute(sql("gate_change"), target, False, msgspec.json.encode(change).decode())
        done = "UPDATE gate_state SET published = true WHERE target = $1 RETURNING change_id::text"
        change_id = await conn.fetchval(done, target)
    finally:
        await conn.close()
    (judged,) = await standing_changes(settings.dsn, [Claim(target, change_id)])
    return judged
