"""The compiled reader's rows beside the outcomes of the Python path."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Final, cast

from schemas.native_module import module
from schemas.pipeline.outcome import Normalized, Outcomes
from schemas.pipeline.record import RawRecord, TopicPartition
from sinks.postgres import binary_rows
from streams.pipeline import native
from streams.pipeline.processor import CLAMP_FUTURE_MS, CLAMP_PAST_MS, GATEWAY_TRUST_MS, Context
from support.events.making import NOW_MS, batch, context, process
from support.memory.fetched import batch_of

EVERYTHING = 2**40, math.inf
"""Bytes and seconds that no records exceed."""


def reader(given: Context) -> native.Reader:
    """Make a reader for the context."""
    made = native.reader(
        given.registry, given.trust.keys, given.bounds, (CLAMP_PAST_MS, CLAMP_FUTURE_MS), GATEWAY_TRUST_MS
    )
    assert made is not None
    return made


def read(records: Sequence[RawRecord], given: Context | None = None) -> native.Rows:
    """Read records of one batch, all at once. Check that the module's own records have the same rows."""
    source = TopicPartition(records[0].topic, records[0].partition)
    made = reader(given or context())
    rows = made.read(source, records, 0, NOW_MS, *EVERYTHING)
    again = made.read(source, [as_fetched(record) for record in records], 0, NOW_MS, *EVERYTHING)
    assert (again.indexes, again.left, again.keys) == (rows.indexes, rows.left, rows.keys)
    assert again.slice(0, len(rows)) == rows.slice(0, len(rows))
    return rows


def as_fetched(record: RawRecord) -> RawRecord:
    """Return the record as the module makes it from a batch; the record itself if the module leaves the batch."""
    packed = bytearray(batch_of([(record.key, record.value, list(record.headers))], time_ms=record.timestamp))
    packed[:8] = record.offset.to_bytes(8, "big")
    packed[22] |= 8 * record.timestamp_type
    found = module.batch(bytes(packed[:61]), bytes(packed[61:]))
    if found is None:
        return record
    (made,) = found.records(record.topic, record.partition, 0)
    return cast("RawRecord", made)


def left(rows: native.Rows) -> list[int]:
    """Return the indexes of the records that are left to Python."""
    return [index for index, _ in rows.left]


def assert_equal(records: Sequence[RawRecord], rows: native.Rows, given: Context | None = None) -> Outcomes:
    """Check that every row is the one that the Python path makes, with its key, ids, minute and sender class."""
    given = given or context()
    assert sorted([*rows.indexes, *left(rows)]) == list(range(len(records)))
    outcomes = process(batch(*records), given)
    found = {id(one.record): one for one in outcomes.candidates}
    for place, index in enumerate(rows.indexes):
        assert id(records[index]) in found, f"Python refuses {records[index]}"
        one = found[id(records[index])]
        assert isinstance(one, Normalized)
        assert rows.slice(place, place + 1) == binary_rows.row(one.event), f"{records[index]}: {one.event}"
        assert rows.keys[place] == one.key, f"{records[index]}: {one.event}"
        assert rows.sites[place] == one.site_id
        assert rows.ids(place) == (one.script_id, one.event_id)
        assert rows.minutes[place] == one.attempt.minute
        assert native.SENDERS[rows.senders[place]] is one.sender
        assert bool(rows.shared[place]) == one.shared
    return outcomes


def native_context(**given: Any) -> Context:
    """Make the context in which the native module reads ordinary events."""
    return natively(context(**given))


def by_python(given: Context) -> Context:
    """Return the context in which Python reads all events."""
    return replace(given, native=None, seen=set())


def natively(given: Context) -> Context:
    """Return the context with a reader."""
    return replace(given, native=reader(given), seen=set())


Path = Callable[[Context], Context]
PATHS: Final = [by_python, natively] if native.AVAILABLE else [by_python]
"""The paths of this environment, as changes of a context."""
