"""Batches as a Kafka client has fetched them, and reads of them."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from aiokafka import ConsumerRecord
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult, PartitionRecords
from aiokafka.consumer.subscription_state import Assignment
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from sinks.kafka.aiokafka_patches.many_headers import with_records

Content = tuple[bytes | None, bytes | None, list[tuple[str, bytes | None]]]
"""Key, value and headers of a record."""
_HEAD = 61


def built(*records: tuple[bytes, int], compression: int = 0) -> bytes:
    """A batch of values, each with a number of empty headers."""
    return batch_of([(b"k", value, [("", None)] * headers) for value, headers in records], compression)


def batch_of(records: Iterable[Content], compression: int = 0, time_ms: int = 0) -> bytes:
    """A batch of records, each of them a millisecond after the one before."""
    builder = DefaultRecordBatchBuilder(
        magic=2, compression_type=compression, is_transactional=0, producer_id=-1, producer_epoch=-1, base_sequence=-1,
        batch_size=2**24,
    )  # fmt: skip
    for offset, (key, value, headers) in enumerate(records):
        builder.append(offset, time_ms + offset, key, value, headers)
    return bytes(builder.build())


def at_offsets(*deltas: int) -> bytes:
    """An uncompressed batch of records at these distances from its first offset."""
    head, records = bytearray(batch_of([(b"k", b"v", [])] * len(deltas))[:_HEAD]), b""
    for delta in deltas:
        body = bytes([0, 0, 2 * delta, 2]) + b"k" + bytes([2]) + b"v" + bytes([0])
        records += bytes([2 * len(body)]) + body
    return with_records(bytes(head), records)


class Fetched:
    """The client's fetched data of one partition, and consecutive reads of it."""

    def __init__(self, *batches: bytes, bases: Sequence[int] = (), begin: int = 0) -> None:
        """`bases` are the batches' first offsets, by default 0, 1 and so on; `begin` is the first offset that is read."""
        self._partition = KafkaPartition("t", 0)
        self._log = list(map(bytearray, batches))
        self._bases = bases or range(len(batches))
        for offset, batch in zip(self._bases, self._log, strict=True):
            batch[:8] = offset.to_bytes(8, "big")
        self._assignment = Assignment({self._partition})
        self._state = self._assignment.state_value(self._partition)
        self._state.seek(begin)
        self.fetch()

    @property
    def position(self) -> int:
        return int(self._state.position)

    @property
    def holds(self) -> bool:
        """Whether any fetched record is unread."""
        return bool(self._result.has_more())

    def fetch(self) -> None:
        """Fetch the batches from that of the position on."""
        first = max(0, bisect_right(self._bases, self.position) - 1)
        log = fetcher.MemoryRecords(b"".join(self._log[first:]))
        found = PartitionRecords(self._partition, log, [], self.position, None, None, False, READ_COMMITTED)
        self._result = FetchResult(self._partition, assignment=self._assignment, partition_records=found, backoff=0)

    def read(self, most: int = 1000) -> list[ConsumerRecord]:
        if not self._result.has_more():
            self.fetch()
        return self._result.getall(most)
