"""Waiting events whose retry copy should have come long ago: where there are any, and that they were published again."""

from collections.abc import Sequence

from schemas.instants import instant
from schemas.pipeline.ledger import Waiting
from sinks.postgres.connection import connection
from sinks.postgres.ledger.rows import provenance_columns
from sinks.postgres.statements import sql


async def overdue_partitions(dsn: str, due_ms: int) -> set[int]:
    """The raw partitions with events that wait though they were due then (milliseconds since the epoch)."""
    async with connection(dsn, "sweep") as conn:
        return {row["raw_partition"] for row in await conn.fetch(sql("ledger_overdue"), instant(due_ms))}


async def note_published(dsn: str, waiting: Sequence[Waiting], at_ms: int) -> None:
    """Those that still wait for the same attempt count as due from this time on."""
    columns = provenance_columns([one.provenance for one in waiting])
    counts = [one.attempt - 1 for one in waiting]
    async with connection(dsn, "sweep") as conn:
        await conn.execute(sql("ledger_published"), *columns, counts, instant(at_ms))
