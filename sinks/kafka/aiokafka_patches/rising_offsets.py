"""Batches whose records have rising offsets within the batch.

A broker accepts an uncompressed batch with any offsets in its records, so that they may be those of others' records
behind the batch. aiokafka continues behind the last record that it has read, and would skip these records.
"""

from collections.abc import Iterator
from typing import Any


class RisingBatch:
    """A batch like aiokafka's, which is its `batch`. Reading a record whose offset does not rise within the batch raises ValueError."""

    def __init__(self, batch: Any) -> None:
        self.batch = batch
        self.base_offset, self.next_offset = batch.base_offset, batch.next_offset
        self.producer_id, self.is_transactional = batch.producer_id, batch.is_transactional
        self.is_control_batch = batch.is_control_batch
        self.validate_crc = batch.validate_crc

    def __iter__(self) -> Iterator[Any]:
        least, end = self.base_offset, self.next_offset
        for record in self.batch:
            offset = record.offset
            if not least <= offset < end:
                raise ValueError(f"a record has the offset {offset}, and its batch has {least} to {end - 1} left")
            least = offset + 1
            yield record
