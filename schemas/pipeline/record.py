"""Raw Kafka records, the names that identify them (log, partition, offset), and batches of records."""

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

# Kafka allows no `#` in a topic's name, so that the suffix is never part of the name.
_INCARNATION = "#"
_LATER = r"[2-9]|[1-9][0-9]{1,8}"
_NUMBER = re.compile(_LATER)
_PROVENANCE = re.compile(rf"([A-Za-z0-9._-]{{1,249}}(?:#(?:{_LATER}))?):([0-9]{{1,10}}):([0-9]{{1,19}})")


LEDGER_TOPIC: Final = "process"
"""The topic name of a batch that was read from the ledger. Such a batch advances no offset."""


def topic_of(log: str) -> str:
    """Return the topic's name in Kafka from the name of one of its logs: `bridge.raw` for `bridge.raw#2`.

    A recreated topic is a new log, for which the product uses a new name.
    """
    return log.partition(_INCARNATION)[0]


def incarnation_of(log: str) -> int:
    """Return the number of a log among the logs that its topic has had.

    The first log is 1, and the log after the topic was recreated is 2. 0 for a name that no release gives to a log.
    """
    _, later, number = log.partition(_INCARNATION)
    if not later:
        return 1
    return int(number) if _NUMBER.fullmatch(number) else 0


def log_name(topic: str, incarnation: int) -> str:
    """Return the name of the topic's log with this number. The first log has the topic's own name.

    A recreated topic is a new log, with the next number.
    """
    return topic if incarnation == 1 else f"{topic}{_INCARNATION}{incarnation}"


class TopicPartition(NamedTuple):
    """One partition of one topic. In what Postgres stores, `topic` is the name of the partition's log.

    This name distinguishes the log of a recreated topic from the log before.
    """

    topic: str
    partition: int

    @property
    def in_kafka(self) -> "TopicPartition":
        """The same partition under its topic's name in Kafka."""
        return TopicPartition(topic_of(self.topic), self.partition)

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


class Provenance(NamedTuple):
    """The position of a raw event on the raw topic. It identifies the event through retries and in its dead letter.

    `topic` is the log's name. If the topic is recreated, its offsets begin again, and its new log has another name.
    """

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Provenance":
        """Parse `topic:partition:offset`; raises ValueError for anything else, such as an invalid topic name."""
        match = _PROVENANCE.fullmatch(text)
        if match is None:
            raise ValueError(f"not a provenance: {text[:80]!r}")
        parsed = cls(match[1], int(match[2]), int(match[3]))
        if parsed.partition >= 2**31 or parsed.offset >= 2**63:
            raise ValueError(f"provenance out of range: {text[:80]!r}")
        return parsed


class RawRecord(Protocol):
    """One Kafka record as the broker has it.

    It has the attributes of aiokafka's ConsumerRecord, so that a record that was read need not be copied. `timestamp`
    is in milliseconds since the epoch. `timestamp_type` says whose clock has set it: 0 is the producer's, 1 the
    broker's.
    """

    @property
    def topic(self) -> str: ...
    @property
    def partition(self) -> int: ...
    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int: ...
    @property
    def timestamp_type(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


class RawBody(NamedTuple):
    """The part of a raw record that the ledger stores: key, value and headers in order, byte for byte.

    The ledger is the table of events whose first attempt failed.
    """

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class CarriedRecord:
    """The record of a later attempt at an event: the content of the event's raw record with another position and time.

    Position and time are those of the retry record or of the job that makes the attempt.
    """

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class Batch(NamedTuple):
    """Consecutive records of one partition.

    `prev` is the offset at which the batch begins, and `next` the offset after the batch. Some offsets between them may
    have no record: transaction markers, aborted or compacted records.
    """

    source: TopicPartition
    prev: int
    next: int
    records: Sequence[RawRecord]

    @property
    def from_ledger(self) -> bool:
        """Whether the batch was read from the ledger (the table of failed events) instead of from a Kafka log."""
        return self.source.topic == LEDGER_TOPIC

    def before(self, offset: int) -> "Batch | None":
        """Return the part of the batch before the record at `offset`; None if the batch has nothing before it."""
        if offset <= self.prev:
            return None
        count = bisect_left(self.records, offset, key=lambda record: record.offset)
        return Batch(self.source, self.prev, offset, self.records[:count])

    @property
    def skipped(self) -> int:
        """The number of offsets inside the batch that have no record."""
        return self.next - self.prev - len(self.records)
