"""Closing entries of archived events: which archives have rows that are removed from Postgres."""

from schemas.pipeline.archive import PartitionSums
from sinks.postgres.connection import Connection
from sinks.postgres.statements import sql


async def removed_parts(conn: Connection, prefix: str) -> dict[str, dict[tuple[str, int], int]]:
    """Return the removed events by archive and raw partition, of archives whose names begin with `prefix` and a slash.

    An archive whose rows were all brought back is left out.
    """
    found: dict[str, dict[tuple[str, int], int]] = {}
    for row in await conn.fetch(sql("archive_entries"), f"{prefix}/"):
        if row["events"]:
            found.setdefault(row["archived_as"], {})[row["topic"], row["partition"]] = row["events"]
    return found


async def write_entries(
    conn: Connection, run_id: str, archived_as: str, partitions: tuple[PartitionSums, ...], *, restored: bool
) -> None:
    """Write the closing entries of a part's rows that the caller's transaction removes or, if `restored`, brings back."""
    statement, kind = (sql("archive_reverse"), "events_restored") if restored else (sql("events_close"), "events")
    for one in partitions:
        await conn.execute(
            statement, run_id, kind, one.topic, one.partition, one.first_offset, one.last_offset, one.rows, one.at_once,
            one.bytes, bytes.fromhex(one.sha256), archived_as,
        )  # fmt: skip
