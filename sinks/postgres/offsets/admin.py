"""Stored offsets for operators, and the two changes that an operator can make.

These are to adopt a replaced log (a partition that was truncated or recreated), and to skip records.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from schemas.config.settings import Settings
from schemas.errors import InvalidInput
from schemas.instants import instant
from schemas.pipeline.record import TopicPartition, incarnation_of, log_name, topic_of
from sinks.cooperative import Turn
from sinks.kafka.admin import log_bounds
from sinks.postgres.connection import Connection, fetch
from sinks.postgres.records import named, partition_of
from sinks.postgres.statements import sql

MOST_LOGS: Final = 20_000
"""The most logs whose stored offsets are shown. A worker's account may write any number of rows."""


class Position(NamedTuple):
    """The consumer group's stored offset in the current log of a partition.

    `held` is the reason why a worker does not read the partition, if there is one.
    """

    next_offset: int
    held: str | None


class StoredOffset(NamedTuple):
    """The consumer group's stored offset in one log (a topic's partition, in one Kafka cluster).

    Kafka's first and end offset are None for a log that was replaced by another one. `lag` is the number of offsets
    from the stored offset to the log's end. `last_record_at` is the time of the last committed record. `held` is the
    reason why a worker does not read the partition, if there is one.
    """

    topic: str
    partition: int
    incarnation: int
    next_offset: int
    log_start: int | None
    log_end: int | None
    lag: int | None
    last_record_at: datetime | None
    worker: str
    epoch: int
    held: str | None
    skipped: int
    stale: int
    lost: int


async def current_positions(
    conn: Connection, group: str, partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, Position]:
    """Return the group's stored offsets in the current logs of these partitions of Kafka, as far as there are any."""
    columns = [[one.topic for one in partitions], [one.partition for one in partitions]]
    rows = await conn.fetch(sql("offsets_current"), group, *columns)
    return {partition_of(row): named(Position, row) for row in rows}


async def stored_offsets(settings: Settings, *, ask_kafka: bool = True) -> list[StoredOffset]:
    """Return the group's stored offsets; raises PreconditionFailed without Kafka, SinkUnavailable without Postgres.

    If `ask_kafka` is False, the lag and the logs' first and end offsets are None. At most MOST_LOGS are returned, those
    of the topics in the settings first, and of these the current logs.
    """
    topics = [settings.topics.raw, *settings.topics.retries]
    rows = await fetch(settings.dsn, "offsets", sql("offsets_show"), settings.group, topics, MOST_LOGS)
    logs = sorted(rows, key=lambda row: incarnation_of(row["topic"]))
    present = {TopicPartition(topic_of(row["topic"]), row["partition"]): row["topic"] for row in logs}
    bounds = await log_bounds(settings, {source.topic for source in present}) if ask_kafka else {}
    found, turn = [], Turn()
    for row in rows:
        await turn.let_others()
        source = TopicPartition(topic_of(row["topic"]), row["partition"])
        log = bounds.get(source) if present[source] == row["topic"] else None
        timestamp = row["last_timestamp"]
        found.append(
            named(
                StoredOffset,
                row,
                topic=source.topic,
                incarnation=incarnation_of(row["topic"]),
                log_start=log.start if log else None,
                log_end=log.end if log else None,
                lag=max(0, log.end - row["next_offset"]) if log else None,
                last_record_at=None if timestamp is None else instant(timestamp),
            )
        )
    return found


async def adopt_log(settings: Settings, old: TopicPartition, beginning: int, cluster: str) -> TopicPartition:
    """Replace the stored offset of the log `old` by one of the log that Kafka has now; return the new log's name.

    `beginning` is the new log's first offset. Raises InvalidInput if the old log has been replaced already.
    """
    new = TopicPartition(log_name(topic_of(old.topic), incarnation_of(old.topic) + 1), old.partition)
    if not await fetch(settings.dsn, "offsets", sql("offsets_adopt"), settings.group, *new, beginning, cluster):
        raise InvalidInput(f"{new} has been adopted already; see `bridge offsets show`")
    return new


async def skip_records(settings: Settings, source: TopicPartition, offset: int, end: int) -> None:
    """Skip the records from `offset` to before `end`.

    Raises InvalidInput unless `offset` is the partition's stored offset.
    """
    if not await fetch(settings.dsn, "offsets", sql("offsets_skip"), settings.group, *source, offset, end):
        raise InvalidInput(
            f"the stored offset of {source} is no longer {offset}, so that no record was skipped; see `bridge offsets show`"
        )
