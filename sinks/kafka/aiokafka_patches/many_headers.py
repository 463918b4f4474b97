"""Records of very many headers: all but the first of their headers are removed before the client parses them."""

from typing import Any

from aiokafka.record import MemoryRecords
from aiokafka.record.default_records import DefaultRecordBatch
from aiokafka.record.util import calc_crc32c

from schemas.kafka import headers
from sinks.kafka.aiokafka_patches.rising_offsets import RisingBatch

MOST_HEADERS: int = 10_000
"""The most headers of one record.

A record with more is no event: it keeps just enough headers to be recognised as such. Each empty header takes two bytes
in the batch, half a microsecond to read, and some seventy bytes of memory.
"""
HEADERS_LEFT: int = headers.MOST_HEADERS + 1
_SHORT_BYTES: int = 2 * MOST_HEADERS
_LARGE_INFLATED: int = 400_000
_LARGE_PLAIN: int = 1_048_588
"""The sizes, in bytes, from which the length of each record is checked. A smaller batch is trusted.

If a length in a smaller batch is wrong, the client refuses the batch within 0.1 s. The check takes a microsecond for
each record. An uncompressed batch is checked only if it is larger than Kafka accepts by default.
"""
_MOST_RECORDS: int = 150_000
"""The most records of a batch. An event has at least about 80 bytes, so 8 MiB hold at most 105,000 events.

A batch of 150,000 empty records occupies the loop for two microseconds each, 0.3 s in total.
"""
_SHORTEST_RECORD: int = 6
_SHIFTS = range(7, 70, 7)
_LENGTH: int = 8
_AFTER_LENGTH: int = 12
_CRC: int = 17
_AFTER_CRC: int = 21
RECORDS: int = 61
"""Positions of the fields of a batch, as https://kafka.apache.org/documentation/#recordbatch describes them."""


class CutRecords:
    """Fetched batches, like aiokafka's `MemoryRecords`, whose records have few headers and rising offsets.

    A compressed batch is left as it is, and cut when it is inflated (codecs.py).
    """

    def __init__(self, fetched: bytes) -> None:
        self._fetched = fetched
        self._batches = MemoryRecords(fetched)
        self._place = 0
        self.has_next = self._batches.has_next
        self.size_in_bytes = self._batches.size_in_bytes

    def next_batch(self) -> Any:
        """Return the next batch, with cut records; raises ValueError for one of more than _MOST_RECORDS records."""
        batch: Any = self._batches.next_batch()
        begin = self._place
        size = int.from_bytes(self._fetched[begin + _LENGTH : begin + _AFTER_LENGTH])
        self._place = begin + _AFTER_LENGTH + size
        if not isinstance(batch, DefaultRecordBatch) or batch.is_control_batch:
            return batch
        if size <= _SHORT_BYTES or batch.compression_type:
            return RisingBatch(batch)
        records = self._fetched[begin + RECORDS : self._place]
        cut = cut_headers(records, _LARGE_PLAIN)
        # A batch that was corrupted keeps its wrong checksum, by which the client detects it.
        if cut is not records and batch.validate_crc():
            batch = MemoryRecords(with_records(self._fetched[begin : begin + RECORDS], cut)).next_batch()
        return RisingBatch(batch)


def with_records(head: bytes, records: bytes) -> bytes:
    """Return an uncompressed batch of these records. `head` has its other fields; length and checksum are replaced."""
    checked = head[_AFTER_CRC:] + records
    length = _AFTER_CRC - _AFTER_LENGTH + len(checked)
    sized = head[:_LENGTH] + length.to_bytes(4) + head[_AFTER_LENGTH:_CRC]
    checksum: int = calc_crc32c(checked)
    return sized + checksum.to_bytes(4) + checked


def cut_headers(records: bytes, large: int = _LARGE_INFLATED) -> bytes:
    """Return the batch's records, each with at most HEADERS_LEFT headers if it had more than MOST_HEADERS.

    Omitted headers are not parsed. In a batch of at least `large` bytes, no record's length is trusted. Raises
    ValueError for a batch of more than _MOST_RECORDS records. An invalid batch is returned unchanged, because aiokafka
    reports the error later. The format of records is described at https://kafka.apache.org/documentation/#record
    """
    if len(records) <= _SHORT_BYTES:
        return records
    place = kept = count = 0
    parts: list[bytes] = []
    short = _SHORT_BYTES if len(records) < large else 0
    try:
        while place < len(records):
            if (count := count + 1) > _MOST_RECORDS:
                raise ValueError(f"a batch of more than {_MOST_RECORDS} records")
            first, second = records[place], records[place + 1]
            if second < 0x80 <= first:
                # Most lengths have two bytes; these are decoded inline, which saves a call for each record.
                length, begin = (first & 0x7F | second << 7) >> 1 if not first & 1 else -1, place + 2
            else:
                length, begin = _varint(records, place)
            if length < _SHORTEST_RECORD:
                break
            if length > short:
                at = _headers_at(records, begin)
                stated, first = _varint(records, at)
                if stated > MOST_HEADERS:
                    left = records[begin:at] + _as_varint(HEADERS_LEFT) + _first_headers(records, first)
                    parts += [records[kept:place], _as_varint(len(left)), left]
                    kept = begin + length
            place = begin + length
    except IndexError:
        pass
    return b"".join([*parts, records[kept:]]) if parts else records


def _headers_at(records: bytes, begin: int) -> int:
    """Return the position of a record's header count. `begin` is the position after the record's length field.

    Raises IndexError if the record is cut.
    """
    place = begin
    for _ in range(3):  # attributes, which the client reads as a number too, and the deltas of time and offset
        place = _varint(records, place)[1]
    for _ in range(2):  # key and value
        size, place = _varint(records, place)
        place += max(0, size)
    return place


def _first_headers(records: bytes, place: int) -> bytes:
    begin = place
    for _ in range(2 * HEADERS_LEFT):  # a name and a value each
        size, place = _varint(records, place)
        place += max(0, size)
    if place > len(records):
        raise IndexError
    return records[begin:place]


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Return the zigzag-encoded number at `place`, and the position after the number.

    Raises IndexError if the data ends before, or if the number has too many bytes.
    """
    value = data[place]
    if value < 0x80:  # most have one byte
        return (value >> 1) ^ -(value & 1), place + 1
    value &= 0x7F
    for shift in _SHIFTS:
        place += 1
        byte = data[place]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # the last byte of a number
            return (value >> 1) ^ -(value & 1), place + 1
    raise IndexError


def _as_varint(number: int) -> bytes:
    """Encode a non-negative number as a zigzag number."""
    left, written = number << 1, bytearray()
    while left > 0x7F:
        written.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*written, left])
