"""The compiled reader makes the same rows as the Python path, byte for byte, or leaves the record to it."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.events.hostile import SCRIPTS, records
from support.events.making import context
from support.events.native import assert_equal, read

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
