"""No shape of an event costs much more than another of the same length: the cost a sender can cause is bounded."""

import json
from collections.abc import Callable, Iterable

import pytest
from support.events.making import judged, record
from support.events.reading_costs import PATHS, TRIES, seconds

from bench.rig.shapes import event, listed, sound, unsound
from schemas.events.raw_event import MAX_BYTES

Path = Callable[[bytes], None]
PLAIN = listed(b"1")
MOST_SOUND, MOST_UNSOUND = 12.0, 20.0
"""Multiples of the json module's time for integers of the same length; measurements on two busy cores are far below."""


def too_slow(path: Path, events: Iterable[tuple[str, bytes]], most: float) -> dict[str, float]:
    """The events that took longer than the allowed multiple of the plain one in every measurement."""
    found = {}
    for name, value in events:
        ratio = float("inf")
        for _ in range(TRIES):
            ratio = min(ratio, seconds(lambda: path(value)) / seconds(lambda: json.loads(PLAIN)))  # noqa: B023
            if ratio <= most:
                break
        else:
            found[name] = ratio
    return found


@pytest.mark.parametrize("path", PATHS)
def test_no_sound_event_costs_much_more_than_a_plain_one(path: Path) -> None:
    """The shapes vary names, values, depth, escapes, numbers, queries, hosts, unknown fields and versions."""
    assert not too_slow(path, sound(), MOST_SOUND)


@pytest.mark.parametrize("path", PATHS)
def test_no_refused_event_costs_much_more_than_a_plain_one(path: Path) -> None:
    """The error is at the end of the event or everywhere in it."""
    assert not too_slow(path, unsound(), MOST_UNSOUND)


def test_worst_events_are_what_they_are_called() -> None:
    """Each is valid and within a few bytes of the size limit."""
    for name, value in sound():
        found = judged(record(value=value))
        assert len(found.candidates) == 1, f"{name}: {found.failures[0].error[:200]}"
        assert "few" in name or MAX_BYTES - 700 < len(value) <= MAX_BYTES, name


def test_unsound_events_are_refused() -> None:
    for name, value in unsound():
        assert len(value) <= MAX_BYTES
        assert judged(record(value=value)).failures, name


def test_a_plain_event_is_sound() -> None:
    """The baseline of the measurements is a valid event."""
    assert judged(record(value=PLAIN)).candidates
    assert judged(record(value=event())).candidates
