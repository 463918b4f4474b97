"""No shape of an event costs much more than another of its length: what a stranger may choose is bounded."""

import json
from collections.abc import Iterable

from support.events.making import judged, record
from support.events.reading_costs import TRIES, read, seconds

from bench.rig.shapes import event, listed, sound, unsound
from schemas.events.raw_event import MAX_BYTES

PLAIN = listed(b"1")
MOST_SOUND, MOST_UNSOUND = 12.0, 20.0
"""Times as long as the json module takes to read integers of the same length. On two busy cores nothing comes near."""


def too_slow(events: Iterable[tuple[str, bytes]], most: float) -> dict[str, float]:
    """Those that took longer than so many times the plain one, each time that both were tried."""
    found = {}
    for name, value in events:
        ratio = float("inf")
        for _ in range(TRIES):
            ratio = min(ratio, seconds(lambda: read(value)) / seconds(lambda: json.loads(PLAIN)))  # noqa: B023
            if ratio <= most:
                break
        else:
            found[name] = ratio
    return found


def test_no_sound_event_costs_much_more_than_a_plain_one() -> None:
    """Long names, many values, depth, escapes, numbers, letters, queries, hosts, unknown fields, both versions."""
    assert not too_slow(sound(), MOST_SOUND)


def test_no_refused_event_costs_much_more_than_a_plain_one() -> None:
    """What is wrong comes last, or is everywhere."""
    assert not too_slow(unsound(), MOST_UNSOUND)


def test_worst_events_are_what_they_are_called() -> None:
    """Sound, and as long as an event may be but for a few bytes."""
    for name, value in sound():
        found = judged(record(value=value))
        assert len(found.candidates) == 1, f"{name}: {found.failures[0].error[:200]}"
        assert "few" in name or MAX_BYTES - 700 < len(value) <= MAX_BYTES, name


def test_unsound_events_are_refused() -> None:
    """Each of them."""
    for name, value in unsound():
        assert len(value) <= MAX_BYTES
        assert judged(record(value=value)).failures, name


def test_a_plain_event_is_sound() -> None:
    """So that the measure measures something."""
    assert judged(record(value=PLAIN)).candidates
    assert judged(record(value=event())).candidates
