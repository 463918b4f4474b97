"""Discarding of dead letters: their disposition changes from open to discarded.

Dead letters that a replay has claimed (reserved) or sent stay unchanged.
"""

from collections.abc import Sequence

from schemas.pipeline.record import Provenance
from sinks.postgres.connection import connection, fetch
from sinks.postgres.ledger.rows import provenance_columns
from sinks.postgres.records import provenance_of
from sinks.postgres.statements import sql


async def discard(dsn: str, places: Sequence[Provenance], run_id: str, *, sent_again: bool = False) -> int:
    """Discard those of these dead letters that are open; return how many were discarded. Raises SinkUnavailable.

    `places` are the dead letters' provenances (topic, partition and offset of the raw record). With `sent_again`, the
    dead letters count as recovered: their producers have sent the events again, and the events are persisted.
    """
    async with connection(dsn, "discard") as conn:
        # Sorted, because commits lock the ledger's rows in this order.
        statement = sql("dead_letters_discard_sent_again") if sent_again else sql("dead_letters_discard")
        return int(await conn.fetchval(statement, *provenance_columns(sorted(places)), run_id))


async def not_dropped(dsn: str, places: Sequence[Provenance]) -> list[Provenance]:
    """Return those provenances (topic, partition, offset) that are not of a dropped event; raises SinkUnavailable."""
    rows = await fetch(dsn, "dead letters", sql("ledger_missing"), *provenance_columns(list(places)))
    return [provenance_of(row) for row in rows]
