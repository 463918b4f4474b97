"""Discarding dead letters: open -> discarded; whatever a replay has claimed or finished stays as it is."""

from collections.abc import Sequence

from schemas.pipeline.record import Provenance
from sinks.postgres.connection import connection
from sinks.postgres.ledger.rows import provenance_columns
from sinks.postgres.statements import sql


async def discard(dsn: str, places: Sequence[Provenance], run_id: str, *, sent_again: bool = False) -> int:
    """Discards those of them that are open; returns how many were. Raises SinkUnavailable.

    `sent_again` notes that their events are persisted, so that they count as recovered.
    """
    async with connection(dsn, "discard") as conn:
        # In the order in which settlements lock the ledger.
        statement = sql("dead_letters_discard_sent_again") if sent_again else sql("dead_letters_discard")
        done: int = await conn.fetchval(statement, *provenance_columns(sorted(places)), run_id)
    return done


async def not_dropped(dsn: str, places: Sequence[Provenance]) -> list[Provenance]:
    """Those of them that the ledger does not say are dropped; raises SinkUnavailable."""
    async with connection(dsn, "dead letters") as conn:
        rows = await conn.fetch(sql("ledger_missing"), *provenance_columns(list(places)))
    return [Provenance(row["raw_topic"], row["raw_partition"], row["raw_offset"]) for row in rows]
