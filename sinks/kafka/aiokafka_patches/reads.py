"""A read: one request for records by a task, with limits on what it inflates and on the headers of its records."""

import asyncio
import sys
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary

from aiokafka.consumer.fetcher import FetchResult, PartitionRecords

from sinks.kafka.aiokafka_patches.many_headers import HEADERS_LEFT, MOST_HEADERS

_HEADERS_AT_ONCE: int = 50_000
"""A read ends when its records have more headers than this."""
_FEW_HEADERS: int = 16


class Read:
    """What one read (a request for records) has inflated so far. `natively` says whether it takes native records."""

    __slots__ = ("bytes", "enough", "headers", "largest", "natively")

    def __init__(self, *, natively: bool) -> None:
        self.bytes = self.largest = self.headers = 0
        self.enough = False
        self.natively = natively


_reads: "WeakKeyDictionary[asyncio.Task[Any], Read]" = WeakKeyDictionary()


class EnoughError(Exception):
    """Raised to end a read (a request for records) before its next batch is inflated."""


def count_anew(*, natively: bool = False) -> None:
    """Begin a new read (one request for records) of the current task, with nothing inflated yet.

    A read that reaches the limit of inflated bytes or headers ends, and returns the records that it has read. The next
    read returns the remaining records. Every read returns at least one record, and inflates at least one batch. With
    `natively`, the native module makes the records if it can.
    """
    if (task := asyncio.current_task()) is not None:
        _reads[task] = Read(natively=natively)


def had_enough() -> bool:
    """Return whether the current task's last read (request for records) ended at the limit of inflated data."""
    read = this_read()
    return read is not None and read.enough


def this_read() -> Read | None:
    """Return the current task's read; None if the task counts none, as other consumers of the process."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return None
    return None if task is None else _reads.get(task)


def until_enough(self: FetchResult, max_records: int | None = None) -> list[Any]:
    """Return records like aiokafka's `getall`, but stop at the limit of the current read (a request for records).

    If the read has reached its limit before, no record is returned. Records with too many headers have only the first
    HEADERS_LEFT. aiokafka's function makes two calls for each record. This one avoids them, because every record
    passes through it.
    """
    read = this_read()
    if (read is not None and read.enough) or not self.check_assignment(self._topic_partition) or not self.has_more():
        return []
    most = sys.maxsize if max_records is None else max_records
    records: PartitionRecords = self._partition_records
    found = _from_rest(records, most)
    more = len(found) >= most
    with suppress(EnoughError):
        more = more or _take(records, read, found, most)
    self._update_position()
    if not more:
        self._partition_records = None
    return found


def _take(records: PartitionRecords, read: Read | None, found: list[Any], most: int) -> bool:
    """Add records until there are `most`, or until the read has enough; return whether there may be more."""
    for one in records._records_iterator:  # noqa: SLF001
        if type(one) is list:
            # All records of a native batch, which have few headers.
            records.rest = one
            found += _from_rest(records, most - len(found))
        else:
            found.append(one)
            if len(one.headers) > _FEW_HEADERS and _has_enough_headers(one, read):
                return True
        if len(found) >= most:
            # The iterator and the rest keep the remaining records, which are already inflated.
            return True
    return False


def _from_rest(records: PartitionRecords, most: int) -> list[Any]:
    """Return at most so many native records from the rest of the last batch, and move the position behind them."""
    rest: list[Any] | None = getattr(records, "rest", None)
    if rest is None:
        return []
    found = rest[:most]
    records.rest = rest[most:] or None
    records.next_fetch_offset = found[-1].offset + 1
    return found


def _has_enough_headers(record: Any, read: Read | None) -> bool:
    """Cut the record's headers to the limit; return whether the current request for records ends with this record."""
    count = len(record.headers)
    if count > MOST_HEADERS:
        record.headers = record.headers[:HEADERS_LEFT]
    if read is None:
        return False
    read.headers += count
    if read.headers > _HEADERS_AT_ONCE:
        read.enough = True
    return read.enough
