"""The evidence after a run: the audit, and Kafka's logs and Postgres' rows, read without the product's code."""

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import asyncpg
from aiokafka import AIOKafkaConsumer
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import AIOKafkaAdminClient

from schemas.config.settings import Settings
from streams.audit import audit
from tools.faults.records import Headers

Place = tuple[int, int]
"""Partition and offset on the raw topic."""


class Logged(NamedTuple):
    """One record in Kafka's log."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp: int


class Row(NamedTuple):
    """The columns of a bridge_event row that are compared."""

    place: Place
    site_id: int
    event_id: str
    script_id: str
    event_type: str
    attempt: int
    index: int
    received_ms: int


class Entry(NamedTuple):
    """The columns of a ledger row that are compared."""

    place: Place
    finished: bool
    dropped_reason: str | None
    retry_count: int
    key: bytes | None
    payload: bytes | None


class Window(NamedTuple):
    """One gate window, summed over sites."""

    topic: str
    partition: int
    minute: int
    normalized: int
    retried: int
    dropped: int


@dataclass
class Evidence:
    """Everything that the judge checks."""

    raw_topic: str
    raw: dict[Place, Logged]
    letters: list[Logged]
    rows: list[Row]
    entries: dict[Place, Entry]
    windows: list[Window]
    reasons: Counter[str] = field(default_factory=Counter)
    audit_problems: list[str] = field(default_factory=list)
    uncommitted: list[str] = field(default_factory=list)
    """Partitions whose committed offset is not the end of their log, with both offsets."""
    stale: int = 0


async def gather(settings: Settings) -> Evidence:
    """Read all evidence, after the workers have ended."""
    topics = settings.topics
    conn = await asyncpg.connect(settings.dsn)
    try:
        rows = [_row(row) for row in await conn.fetch(_ROWS)]
        entries = {(row[0], row[1]): Entry((row[0], row[1]), *row[2:]) for row in await conn.fetch(_ENTRIES)}
        windows = [Window(*row) for row in await conn.fetch(_WINDOWS)]
        reasons = Counter(dict((await conn.fetch(_REASONS))[0]))
        stale = await conn.fetchval("SELECT sum(stale)::bigint FROM stream_offset")
    finally:
        await conn.close()
    report = await audit(settings)
    return Evidence(
        topics.raw,
        {(one.partition, one.offset): one for one in await read_topic(settings, topics.raw)},
        await read_topic(settings, topics.dlq),
        rows,
        entries,
        windows,
        reasons,
        [] if report.balanced else report.problems,
        await uncommitted(settings),
        stale or 0,
    )


async def read_topic(settings: Settings, topic: str) -> list[Logged]:
    """Read every record of a topic that a read_committed consumer receives."""
    consumer = AIOKafkaConsumer(
        **settings.kafka_client(), enable_auto_commit=False, isolation_level="read_committed", auto_offset_reset="none"
    )
    await consumer.start()
    try:
        partitions = await _assign(consumer, topic)
        await consumer.seek_to_beginning(*partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[Logged] = []
        while [one for one in partitions if await consumer.position(one) < ends[one]]:
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += [
                    Logged(one.partition, one.offset, one.key, one.value, tuple(one.headers), one.timestamp)
                    for one in records
                ]
        return found
    finally:
        await consumer.stop()


async def _assign(consumer: AIOKafkaConsumer, topic: str) -> list[KafkaPartition]:
    await consumer._client.force_metadata_update()
    consumer.subscribe([topic])
    await consumer._client.force_metadata_update()
    numbers = consumer.partitions_for_topic(topic) or set()
    consumer.unsubscribe()
    partitions = [KafkaPartition(topic, number) for number in sorted(numbers)]
    consumer.assign(partitions)
    return partitions


async def uncommitted(settings: Settings) -> list[str]:
    """Describe the partitions whose committed offset of the group is not the end of the log."""
    admin = AIOKafkaAdminClient(**settings.kafka_client())
    consumer = AIOKafkaConsumer(**settings.kafka_client(), isolation_level="read_committed")
    await admin.start()
    await consumer.start()
    try:
        committed = await admin.list_consumer_group_offsets(settings.group)
        behind = []
        for topic in (settings.topics.raw, *settings.topics.retries):
            described = await admin.describe_topics([topic])
            partitions = [KafkaPartition(topic, number) for number in range(len(described[0]["partitions"]))]
            for partition, end in (await consumer.end_offsets(partitions)).items():
                told = committed[partition].offset if partition in committed else 0
                if told != end:
                    behind.append(f"{partition.topic}-{partition.partition}: {told} of {end}")
        return behind
    finally:
        await consumer.stop()
        await admin.close()


def _row(row: Any) -> Row:
    *fields, properties, received_ms = row
    return Row((fields[0], fields[1]), *fields[2:], json.loads(properties)["index"], received_ms)


_ROWS = """SELECT raw_partition, raw_offset, site_id, event_id, script_id, event_type, attempt, properties::text,
    (extract(epoch FROM received_at) * 1000)::bigint FROM bridge_event"""
_ENTRIES = """SELECT raw_partition, raw_offset, normalized, dropped_reason, retry_count, record_key, payload
    FROM bridge_event_raw"""
_WINDOWS = """SELECT topic, partition, (extract(epoch FROM window_start) / 60)::bigint, sum(normalized)::bigint,
    sum(retried)::bigint, sum(dropped)::bigint FROM gate_window GROUP BY 1, 2, 3"""
_REASONS = """SELECT coalesce(sum(dropped_invalid_payload_json), 0)::bigint AS invalid_payload_json,
    coalesce(sum(dropped_schema_violation), 0)::bigint AS schema_violation,
    coalesce(sum(dropped_duplicate_event_id), 0)::bigint AS duplicate_event_id,
    coalesce(sum(dropped_sink_rejected_row), 0)::bigint AS sink_rejected_row,
    coalesce(sum(dropped_retry_exhausted), 0)::bigint AS retry_exhausted FROM gate_window"""
