"""The queries by which the audit compares counts in Postgres, and an operator's acknowledgement of lost records."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, TypeVar

from schemas.config.settings import Settings
from schemas.errors import PreconditionFailed, SinkUnavailable
from schemas.pipeline.audit_snapshot import Break, Closed, Keys, Ledgers, Offsets, Removals, Snapshot, Windows
from schemas.pipeline.record import LEDGER_TOPIC, TopicPartition
from schemas.reasons import DroppedReason
from sinks.postgres.audit.drops import became
from sinks.postgres.connection import Connection, connection, fetch
from sinks.postgres.records import named, partition_of
from sinks.postgres.statements import sql
from sinks.refusals import refusal

# Within the raw topic's retention a record may be read again. The keys that detect duplicates must be kept at least as
# long.
KEYS_KEPT = timedelta(days=7)
MOST_PARTITIONS: Final = 100_000
"""The most partitions of a table that the audit compares. A worker's account may write rows of any number of them."""
_MOST_REASONS: Final = 1000
_MOST_BREAKS: Final = 100

N = TypeVar("N", bound=NamedTuple)


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
            return await _read(conn, settings, deep)
    except SinkUnavailable as error:
        raise PreconditionFailed(refusal(error, "for the audit")) from error


async def _read(conn: Connection, settings: Settings, deep: bool) -> Snapshot:
    topics = [settings.topics.raw, *settings.topics.retries, LEDGER_TOPIC]
    incomplete: list[str] = []

    async def by_partition(table: str, kind: type[N], statement: str, *values: Any) -> dict[TopicPartition, N]:
        rows = await conn.fetch(statement, *values, topics, MOST_PARTITIONS + 1)
        if len(rows) > MOST_PARTITIONS:
            incomplete.append(table)
        return {partition_of(row): named(kind, row) for row in rows[:MOST_PARTITIONS]}

    if deep:
        await conn.execute(sql("audit_events_lock"))
    await conn.execute(sql("audit_memory"))
    offsets = await by_partition("stream_offset", Offsets, sql("audit_offsets"), settings.group)
    windows = await by_partition("gate_window", Windows, sql("audit_windows"))
    if not deep:
        return Snapshot(offsets, windows, incomplete=incomplete)
    ledgers = await by_partition("bridge_event_raw", Ledgers, sql("audit_rows"))
    drops = await conn.fetch(sql("audit_reasons"), list(DroppedReason), _MOST_REASONS)
    reasons, replays = {row["dropped_reason"]: row["dropped"] for row in drops}, drops[0]["replayed"] if drops else 0
    keys = Keys(**await conn.fetchrow(sql("audit_keys"), datetime.now(UTC) - KEYS_KEPT))
    closed = await by_partition("removal", Closed, sql("audit_closed"))
    removals = await _removals(conn, closed)
    return Snapshot(offsets, windows, ledgers, reasons, keys, await became(conn), replays, incomplete, removals)


async def _removals(conn: Connection, closed: Mapping[TopicPartition, Closed]) -> Removals:
    reasons = {row["reason"]: row["dropped"] for row in await conn.fetch(sql("audit_closed_reasons"))}
    totals = await conn.fetchrow(sql("audit_closed_totals"))
    breaks = [named(Break, row) for row in await conn.fetch(sql("audit_chain"), _MOST_BREAKS)]
    return Removals(closed, reasons, totals["keys"], totals["removals"], breaks)
