"""The compiled reader makes the same rows as the Python path, byte for byte, or leaves the record to it."""

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.events.encoded import event_of
from support.events.hostile import SCRIPTS, records
from support.events.making import NOW_MS, RAW, batch, body, context, process
from support.events.native import assert_equal, natively, read
from support.memory.source import MemoryRecord

from bench import native as bench_native
from bench.rig import mixed
from schemas.pipeline.outcome import Attempt, Candidate, Encoded, Failure, Outcomes
from sinks.commit_rules import first_of_each_key, progress
from sinks.postgres import binary_rows
from sinks.senders import count_senders, only_sender
from sinks.windows import count_windows
from streams.pipeline import native

pytestmark = pytest.mark.skipif(not native.AVAILABLE, reason="the compiled module is not installed")

CONTEXT = context(registry=SCRIPTS)


@settings(max_examples=300)
@given(st.integers(0, 2**64))
def test_rows_are_those_of_python(seed: int) -> None:
    made = records(Random(seed), 30)
    assert_equal(made, read(made, CONTEXT), CONTEXT)


def test_most_valid_events_are_taken() -> None:
    made = records(Random(1), 5000)
    rows = read(made, CONTEXT)
    assert len(rows) > 0.7 * len(assert_equal(made, rows, CONTEXT).candidates)


@settings(max_examples=60)
@given(st.integers(0, 2**64))
def test_a_batch_has_the_outcomes_of_python(seed: int) -> None:
    random = Random(seed)
    made = records(random, 40)
    # Most of these events have one of few ids, so that there are copies on both paths.
    by_python = process(batch(*made), replace(CONTEXT, seen=set()))
    known = {one.key for one in by_python.candidates if random.random() < 0.2}
    given = replace(CONTEXT, known=known, seen=set())
    _assert_same(process(batch(*made), given), process(batch(*made), natively(given)))


def test_of_two_copies_the_first_wins_whichever_path_it_takes() -> None:
    left = body(value="1e0")
    for values in ([left, body()], [body(), left], [body(), body()], [left, left]):
        made = [MemoryRecord(RAW, 0, at, value, b"k", NOW_MS, 1, ()) for at, value in enumerate(values)]
        outcomes = process(batch(*made), natively(CONTEXT))
        assert [type(one) is Encoded for one in outcomes.candidates] == [value is not left for value in values]
        winners, copies = first_of_each_key([outcomes])
        assert [one.offset for one in winners.values()] == [0]
        assert [one.attempt.record.offset for one in copies] == [1]


def _assert_same(python: Outcomes, mixed: Outcomes) -> None:
    assert list(map(_facts, mixed.candidates)) == list(map(_facts, python.candidates))
    assert list(map(_failure, mixed.failures)) == list(map(_failure, python.failures))
    assert (mixed.stale, mixed.clamped, mixed.unproven) == (python.stale, python.clamped, python.unproven)
    assert progress([mixed], []) == progress([python], [])
    assert count_windows(mixed.candidates, mixed.failures) == count_windows(python.candidates, python.failures)
    only = only_sender(python.candidates)
    assert only_sender(mixed.candidates) is only
    assert count_senders(mixed.candidates, only) == count_senders(python.candidates, only)
    written = b"".join(binary_rows._pieces(mixed.candidates))
    assert written == b"".join(binary_rows.row(event_of(one)) for one in python.candidates)


def _facts(one: Candidate) -> tuple[object, ...]:
    return (
        one.key, one.shared, one.site_id, one.script_id, one.event_id, one.sender, one.received_at, one.window, one.number, one.offset,
        one.provenance, event_of(one), _attempt(one.attempt),
    )  # fmt: skip


def _attempt(one: Attempt) -> tuple[object, ...]:
    """The fields that both paths have: the Python path's attempt has the finding about its headers too."""
    return tuple(getattr(one, name) for name in Attempt.__struct_fields__)


def _failure(one: Failure) -> tuple[object, ...]:
    return replace(one, attempt=None), _attempt(one.attempt)  # type: ignore[arg-type]


def test_at_least_95_percent_of_the_mixed_load_is_taken() -> None:
    made = bench_native.as_records(mixed.records(5000, 3))
    python = bench_native.context()
    given = bench_native.with_native(python)
    found = bench_native.outcomes_of(made, given)
    rows = bench_native.outcomes_of(made, python).candidates
    assert len(found.candidates) == len(rows)
    assert sum(type(one) is Encoded for one in found.candidates) >= 0.95 * len(rows)
    _assert_same(bench_native.outcomes_of(made, python), found)
