"""The audit: reads one snapshot of Postgres, then Kafka's ends, and accounts for every raw offset."""

from datetime import UTC, datetime, timedelta

import asyncpg

from schemas.audit_report import AuditReport
from schemas.errors import EnvironmentUnfit, SinkUnavailable
from schemas.record import TopicPartition, topic_of
from schemas.settings import Settings
from sinks.audit_rules import Keys, Ledgers, Offsets, Snapshot, Windows, judge
from sinks.kafka.admin import log_bounds
from sinks.postgres.audit.drops import became
from sinks.postgres.connection import Connection, connection
from sinks.postgres.statements import sql
from sinks.refusals import refusal

# The raw topic's retention: within it a record may come again, so no horizon of the keys may be shorter.
KEYS_KEPT = timedelta(days=7)


async def audit(settings: Settings, *, deep: bool = True) -> AuditReport:
    """Whether every raw offset is accounted for; a deep audit counts the rows, a quick one the running totals.

    Right also while workers settle: the snapshot of Postgres comes first, so Kafka's ends, read after it, can only
    lie at or beyond the stored offsets. Raises EnvironmentUnfit when Kafka or Postgres is away or lacks the schema.
    """
    snapshot = await read_snapshot(settings, deep=deep)
    topics = settings.topics
    bounds = await log_bounds(
        settings, [topics.raw, *topics.retries, *(topic_of(one.topic) for one in snapshot.offsets)]
    )
    return judge(snapshot, bounds, topics)


async def acknowledge_lost(settings: Settings, source: TopicPartition) -> int:
    """Notes that an operator knows of this partition's loss; how many records that were, 0 if there was no news."""
    async with connection(settings.dsn, "audit") as conn:
        return sum(row["news"] for row in await conn.fetch(sql("lost_acknowledge"), *source))


async def read_snapshot(settings: Settings, *, deep: bool) -> Snapshot:
    """Everything that the audit reads from Postgres, as of one moment; raises EnvironmentUnfit."""
    try:
        async with (
            connection(settings.dsn, "audit") as conn,
            conn.transaction(isolation="repeatable_read", readonly=True),
        ):
            return await _read(conn, settings.group, deep)
    except SinkUnavailable as error:
        raise EnvironmentUnfit(refusal(error, "for the audit")) from error


async def _read(conn: Connection, group: str, deep: bool) -> Snapshot:
    await conn.execute(sql("audit_memory"))
    offsets = {_source(row): Offsets(*row.values()) for row in await conn.fetch(sql("audit_offsets"), group)}
    windows = {_source(row): Windows(*row.values()) for row in await conn.fetch(sql("audit_windows"))}
    if not deep:
        return Snapshot(offsets, windows)
    ledgers = {_source(row): Ledgers(*row.values()) for row in await conn.fetch(sql("audit_rows"))}
    drops = await conn.fetch(sql("audit_reasons"))
    reasons, replays = {row["dropped_reason"]: row["dropped"] for row in drops}, sum(row["replayed"] for row in drops)
    row = await conn.fetchrow(sql("audit_keys"), datetime.now(UTC) - KEYS_KEPT)
    return Snapshot(offsets, windows, ledgers, reasons, Keys(*row.values()), await became(conn), replays)


def _source(row: asyncpg.Record) -> TopicPartition:
    return TopicPartition(row["topic"], row["partition"])
