"""No event of up to 4 KiB costs much more than a plain one of that length, per event that it counts as."""

from collections.abc import Callable, Iterator

import pytest
from support.events.making import judged, record
from support.events.reading_costs import PATHS, TRIES, read, seconds

from bench.rig.small_shapes import MOST_BYTES, full, small
from streams.rules.event_weight import weight

Path = Callable[[bytes], None]
PLAIN = full(b'"properties":{"a":[', b"1.25,", b"1]}")
PLAIN_TRIES = 5
MOST = 30.0
"""Multiples of a plain event's time: 20 on two busy cores; without limits hosts took 180 and exponents 50."""


def too_dear(path: Path) -> Iterator[tuple[str, float]]:
    for name, value in small():
        ratio = float("inf")
        for _ in range(TRIES):
            cost = seconds(lambda: path(value)) / weight(value)  # noqa: B023
            ratio = min(ratio, cost / min(seconds(lambda: read(PLAIN)) for _ in range(PLAIN_TRIES)))
            if ratio <= MOST:
                break
        else:
            yield name, ratio


@pytest.mark.parametrize("path", PATHS)
def test_no_small_event_costs_much_more_than_a_plain_one(path: Path) -> None:
    """About 2,100 valid and refused events vary hosts, numbers, texts, queries, fields and nesting."""
    assert not dict(too_dear(path))


def test_small_events_are_small_and_most_are_sound() -> None:
    """The search covers small events, most of them valid."""
    found = dict(small())
    assert len(found) == sum(1 for _ in small()) > 1800
    assert max(map(len, found.values())) <= MOST_BYTES
    sound = [name for name, value in found.items() if judged(record(value=value)).candidates]
    assert len(sound) > 0.7 * len(found)
    assert {name.partition(":")[0] for name in sound} == {"hosts", "numbers", "texts", "queries", "fields", "nested"}


def test_a_plain_small_event_is_sound_and_counts_as_few() -> None:
    """The baseline of the measurements is a valid event of a small weight."""
    assert judged(record(value=PLAIN)).candidates
    assert MOST_BYTES - 50 < len(PLAIN) <= MOST_BYTES
    assert weight(PLAIN) <= 3
