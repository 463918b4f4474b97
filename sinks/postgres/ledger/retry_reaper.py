"""The queries of the retry reaper, which publishes lost retry copies again.

They return the partitions with overdue events, and record the copies that the reaper has published.
"""

from collections.abc import Sequence

from schemas.instants import instant
from schemas.pipeline.ledger import Waiting
from sinks.postgres.connection import connection
from sinks.postgres.ledger.rows import provenance_columns
from sinks.postgres.statements import sql


async def overdue_partitions(dsn: str, due_ms: int) -> set[int]:
    """Return the partitions with events whose next attempt was due before `due_ms`, in milliseconds since the epoch."""
    async with connection(dsn, "sweep") as conn:
        return {row["raw_partition"] for row in await conn.fetch(sql("ledger_overdue"), instant(due_ms))}


async def note_published(dsn: str, waiting: Sequence[Waiting], at_ms: int) -> None:
    """Set the due time `at_ms` of those events that still wait for the same attempt."""
    columns = provenance_columns([one.provenance for one in waiting])
    counts = [one.attempt - 1 for one in waiting]
    async with connection(dsn, "sweep") as conn:
        await conn.execute(sql("ledger_published"), *columns, counts, instant(at_ms))
