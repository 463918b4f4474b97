"""The queries by which the audit compares counts in Postgres, and an operator's acknowledgement of lost records."""

from datetime import UTC, datetime, timedelta

from schemas.config.settings import Settings
from schemas.errors import PreconditionFailed, SinkUnavailable
from schemas.pipeline.audit_snapshot import Keys, Ledgers, Offsets, Snapshot, Windows
from schemas.pipeline.record import TopicPartition
from sinks.postgres.audit.drops import became
from sinks.postgres.connection import Connection, connection, fetch
from sinks.postgres.records import partition_of
from sinks.postgres.statements import sql
from sinks.refusals import refusal

# Within the raw topic's retention a record may be read again. The keys that detect duplicates must be kept at least as
# long.
KEYS_KEPT = timedelta(days=7)


async def acknowledge_lost(settings: Settings, source: TopicPartition) -> int:
    """Record that an operator knows of the partition's lost records; return how many were not acknowledged before."""
    return sum(row["news"] for row in await fetch(settings.dsn, "audit", sql("lost_acknowledge"), *source))


async def read_snapshot(settings: Settings, *, deep: bool) -> Snapshot:
    """Return everything that the audit reads from Postgres, in one snapshot; raises PreconditionFailed."""
    try:
        async with (
            connection(settings.dsn, "audit") as conn,
            conn.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await _read(conn, settings.group, deep)
    except SinkUnavailable as error:
        raise PreconditionFailed(refusal(error, "for the audit")) from error


async def _read(conn: Connection, group: str, deep: bool) -> Snapshot:
    await conn.execute(sql("audit_memory"))
    offsets = {partition_of(row): Offsets(*row.values()) for row in await conn.fetch(sql("audit_offsets"), group)}
    windows = {partition_of(row): Windows(*row.values()) for row in await conn.fetch(sql("audit_windows"))}
    if not deep:
        return Snapshot(offsets, windows)
    ledgers = {partition_of(row): Ledgers(*row.values()) for row in await conn.fetch(sql("audit_rows"))}
    drops = await conn.fetch(sql("audit_reasons"))
    reasons, replays = {row["dropped_reason"]: row["dropped"] for row in drops}, sum(row["replayed"] for row in drops)
    row = await conn.fetchrow(sql("audit_keys"), datetime.now(UTC) - KEYS_KEPT)
    return Snapshot(offsets, windows, ledgers, reasons, Keys(*row.values()), await became(conn), replays)
