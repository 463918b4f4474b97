"""The compiled reader's rows beside the outcomes of the Python path."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from schemas.pipeline.outcome import Outcomes
from schemas.pipeline.record import RawRecord
from sinks.postgres import binary_rows
from streams.pipeline import native
from streams.pipeline.processor import CLAMP_FUTURE_MS, CLAMP_PAST_MS, GATEWAY_TRUST_MS, Context
from support.events.making import NOW_MS, batch, context, process

BUDGET = 100_000


def reader(given: Context) -> native.Reader:
    """Make a reader for the context."""
    made = native.reader(
        given.registry, given.trust.keys, given.bounds, (CLAMP_PAST_MS, CLAMP_FUTURE_MS), GATEWAY_TRUST_MS
    )
    assert made is not None
    return made


def read(records: Sequence[RawRecord], given: Context | None = None) -> native.Rows:
    """Read one batch of these records."""
    given = given or context()
    rows = native.rows_of(batch(*records))
    made, at = reader(given), 0
    while at < len(records):
        at = made.read(rows, records, at, NOW_MS, BUDGET)
    return rows


def assert_equal(records: Sequence[RawRecord], rows: native.Rows, given: Context | None = None) -> Outcomes:
    """Check that every row is the one that the Python path makes, with its key, site, minute and sender class."""
    given = given or context()
    assert sorted([*rows.indexes, *rows.left]) == list(range(len(records)))
    outcomes = process(batch(*records), given)
    found = {id(one.attempt.record): one for one in outcomes.candidates}
    scripts = [one.script_id for one in given.registry.values() if one.enabled and not one.paused]
    for place, index in enumerate(rows.indexes):
        assert id(records[index]) in found, f"Python refuses {records[index]}"
        one = found[id(records[index])]
        assert rows.slice(place, place + 1) == binary_rows.row(one.event), f"{records[index]}: {one.event}"
        assert rows.keys[place] == one.key, f"{records[index]}: {one.event}"
        assert rows.sites[place] == one.event.site_id
        assert scripts[rows.scripts[place]] == one.event.script_id
        assert rows.minutes[place] == one.attempt.minute
        assert native.SENDERS[rows.senders[place]] is one.event.sender
        assert bool(rows.shared[place]) == one.shared
    return outcomes


def native_context(**given: Any) -> Context:
    """Make the context in which the native module reads ordinary events."""
    return natively(context(**given))


def natively(given: Context) -> Context:
    """Return the context with a reader."""
    return replace(given, native=reader(given), seen=set())
