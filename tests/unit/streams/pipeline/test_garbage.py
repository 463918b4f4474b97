"""A processed batch leaves nothing to the garbage collector, which runs once a minute: a batch is memory."""

import gc
from typing import Any

import pytest
from support.events.making import judged, record
from support.garbage import no_collection


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"value": b"{"},
        {"value": b""},
        {"site_id": "x"},
        {"script_id": "nowhere"},
        {"schema_version": 9},
        {"occurred_at": 1},
    ],
    ids=str,
)
def test_a_batch_is_freed_whatever_is_wrong_with_its_events(given: dict[str, Any]) -> None:
    """A rejection that a variable keeps has a traceback, whose frames keep the batch."""
    records = [record(offset, **given) for offset in range(5)]
    judged(*records)

    with no_collection():
        judged(*records)

        assert gc.collect() == 0
