"""Batches whose records the native module makes, instead of one Python object for each part of a record.

The module reads a batch as a whole, and leaves one of any unusual form to aiokafka. Its records have the attributes of
aiokafka's that this product uses (schemas/pipeline/record.py, RawRecord).
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Final

from aiokafka import TopicPartition
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.record import MemoryRecords

from schemas.native_module import module
from sinks.kafka.aiokafka_patches.many_headers import RECORDS, CutRecords, cut_headers, with_records
from sinks.kafka.aiokafka_patches.reads import this_read
from sinks.kafka.aiokafka_patches.rising_offsets import RisingBatch

_ATTRIBUTES: Final = 22
_CODEC: Final = 7
"""The bits of the last byte of the attributes that name the compression."""
_consumer_record: Final = PartitionRecords._consumer_record  # noqa: SLF001


class ReadRecords(CutRecords):
    """Fetched batches, of which the native module makes the records if the current read takes native records."""

    inflate: ClassVar[Mapping[int, Callable[[bytes], bytes]]] = {}
    """The decompressors by their numbers in a batch's attributes."""

    def next_batch(self) -> Any:
        """Return the next batch; raises ValueError like CutRecords."""
        begin = self._place
        batch = super().next_batch()
        read = this_read()
        if read is None or not read.natively or not isinstance(batch, RisingBatch):
            return batch
        head, records = self._fetched[begin : begin + RECORDS], self._fetched[begin + RECORDS : self._place]
        return _NativeBatch(batch, head, records, self.inflate)


class _NativeBatch(RisingBatch):
    """A batch that yields all its records at once, in one object of the native module."""

    def __init__(
        self, batch: RisingBatch, head: bytes, records: bytes, inflate: Mapping[int, Callable[[bytes], bytes]]
    ) -> None:
        super().__init__(batch)
        self._head, self._records, self._inflate = head, records, inflate

    def __iter__(self) -> Iterator[Any]:
        codec = self._head[_ATTRIBUTES] & _CODEC
        inflate = self._inflate.get(codec)
        if codec and inflate is None:
            return iter(self.batch)
        records = self._records if inflate is None else inflate(self._records)
        read = module.batch(self._head, records)
        if read is not None:
            return iter((read,))
        if inflate is None:
            return iter(self.batch)
        # Inflated only once.
        head = bytearray(self._head)
        head[_ATTRIBUTES] &= ~_CODEC
        return iter(RisingBatch(MemoryRecords(with_records(bytes(head), cut_headers(records))).next_batch()))


def records_of(self: PartitionRecords, partition: TopicPartition, record: Any) -> Any:
    """Return the record for the consumer like aiokafka's method; the list of all records of a native batch."""
    if isinstance(record, module.Batch):
        return record.records(partition.topic, partition.partition, self.next_fetch_offset)
    return _consumer_record(self, partition, record)
