"""The SQL queries of the retry reaper, the task that publishes lost copies on the retry topics again.

One query returns the partitions with overdue events, another records the copies that the reaper has published.
"""

from collections.abc import Sequence

from schemas.instants import instant
from schemas.pipeline.ledger import Waiting
from sinks.postgres.connection import connection, fetch
from sinks.postgres.ledger.rows import provenance_columns
from sinks.postgres.statements import sql


async def overdue_partitions(dsn: str, due_ms: int) -> set[int]:
    """Return the partitions with events whose next attempt was due before `due_ms`, in milliseconds since the epoch."""
    return {row["raw_partition"] for row in await fetch(dsn, "sweep", sql("ledger_overdue"), instant(due_ms))}


async def note_published(dsn: str, waiting: Sequence[Waiting], at_ms: int) -> None:
    """Set the due time of the next attempt to `at_ms`, for those events that still wait for this attempt."""
    columns = provenance_columns([one.provenance for one in waiting])
    counts = [one.attempt - 1 for one in waiting]
    async with connection(dsn, "sweep") as conn:
        await conn.execute(sql("ledger_published"), *columns, counts, instant(at_ms))
