"""What the source hands on: raw records as the broker keeps them, their identity, and batches of them."""

import re
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

# Kafka allows no `#` in a topic's name, so what stands behind it can't be part of one.
_INCARNATION = "#"
_LATER = r"[2-9]|[1-9][0-9]{1,8}"
_NUMBER = re.compile(_LATER)
_PROVENANCE = re.compile(rf"([A-Za-z0-9._-]{{1,249}}(?:#(?:{_LATER}))?):([0-9]{{1,10}}):([0-9]{{1,19}})")


LEDGER_TOPIC: Final = "process"
"""What stands for the topic of a batch that came straight from the ledger: it continues no offset."""


def topic_of(log: str) -> str:
    """The topic's name in Kafka, for the name of one of its logs: `bridge.raw` for `bridge.raw#2`."""
    return log.partition(_INCARNATION)[0]


def incarnation_of(log: str) -> int:
    """Which log of its topic it is, from 1: the one that replaced the first under the topic's name is 2.

    0 for a name that no release gives to a log: it takes the place of none.
    """
    _, later, number = log.partition(_INCARNATION)
    if not later:
        return 1
    return int(number) if _NUMBER.fullmatch(number) else 0


def log_name(topic: str, incarnation: int) -> str:
    """The name of that log of the topic; the first one's is the topic's own."""
    return topic if incarnation == 1 else f"{topic}{_INCARNATION}{incarnation}"


class TopicPartition(NamedTuple):
    """One partition of one topic. What was read of it goes by its log's name, which tells incarnations apart."""

    topic: str
    partition: int

    @property
    def in_kafka(self) -> "TopicPartition":
        """The same partition as Kafka knows it."""
        return TopicPartition(topic_of(self.topic), self.partition)

    def __str__(self) -> str:
        return f"{self.topic}-{self.partition}"


class Provenance(NamedTuple):
    """Where a raw event stands on the raw topic: its identity through retries and in its dead letter.

    `topic` is the log's name: should the topic be made anew, its offsets begin again and are not the old ones.
    """

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}:{self.partition}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> "Provenance":
        """Reads `topic:partition:offset`; raises ValueError on anything else, such as a topic Kafka could not have."""
        match = _PROVENANCE.fullmatch(text)
        if match is None:
            raise ValueError(f"not a provenance: {text[:80]!r}")
        parsed = cls(match[1], int(match[2]), int(match[3]))
        if parsed.partition >= 2**31 or parsed.offset >= 2**63:
            raise ValueError(f"provenance out of range: {text[:80]!r}")
        return parsed


class RawRecord(Protocol):
    """One Kafka record, structurally aiokafka's ConsumerRecord, so that the hot path copies nothing.

    `timestamp` is in milliseconds since the epoch; `timestamp_type` says whose clock it is: 0 the producer's,
    1 the broker's.
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
    """What of a raw record the ledger keeps: key, value and ordered headers, byte for byte."""

    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class CarriedRecord:
    """A raw record's body at another place and time: that of the record, or the run, that carries its next attempt."""

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

    `prev` is the offset the batch continues from and `next` the one after it; offsets in between that hold
    no record (transaction markers, aborted or compacted records) are skipped ones.
    """

    source: TopicPartition
    prev: int
    next: int
    records: Sequence[RawRecord]

    @property
    def from_ledger(self) -> bool:
        """Whether it was read from the ledger itself and not from a log."""
        return self.source.topic == LEDGER_TOPIC

    def before(self, offset: int) -> "Batch | None":
        """Its part before the record at `offset`, one of its own; None if nothing comes before it."""
        if offset <= self.prev:
            return None
        count = bisect_left(self.records, offset, key=lambda record: record.offset)
        return Batch(self.source, self.prev, offset, self.records[:count])

    @property
    def skipped(self) -> int:
        """How many offsets inside hold no record."""
        return self.next - self.prev - len(self.records)
