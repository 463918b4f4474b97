"""The stages of an event's way: each time is that of the fetch, poll, commit and sight to which the event belongs."""

import json
from pathlib import Path

import pytest

from bench.rig.stages import STAGES, Notes, Sent, Visible, milliseconds

TOPIC = "bench.raw"


@pytest.fixture
def notes(tmp_path: Path) -> Notes:
    path = tmp_path / "notes.json"
    found = {
        "fetched": [[TOPIC, 0, 0, 1.0], [TOPIC, 0, 10, 3.0], ["other", 0, 5, 9.0]],
        # The first batch was read again after an outage.
        "taken": [[TOPIC, 0, 0, 10, 1.1], [TOPIC, 0, 0, 10, 1.2], [TOPIC, 0, 10, 20, 3.1]],
        "settled": [[TOPIC, 0, 0, 10, 1.3, 1.4], [TOPIC, 0, 10, 20, 3.2, 3.4]],
    }
    path.write_text(json.dumps(found))
    return Notes(path, TOPIC)


@pytest.mark.parametrize(
    ("offset", "times"), [(0, (1.0, 1.2, 1.3, 1.4)), (9, (1.0, 1.2, 1.3, 1.4)), (10, (3.0, 3.1, 3.2, 3.4))]
)
def test_times_are_those_of_the_events_batch(notes: Notes, offset: int, times: tuple[float, ...]) -> None:
    assert notes.of(Sent(0.5, 0.6, 0, offset)) == times


def test_stages_add_up_to_the_whole_way(notes: Notes) -> None:
    seen = {0: [Visible(1.5, 10), Visible(3.5, 20)]}
    found = milliseconds([Sent(0.5, 0.6, 0, 3), Sent(2.0, 2.5, 0, 19)], seen, notes)
    assert list(found) == list(STAGES)
    assert found["seen"][1] == pytest.approx([1000, 1500])
    assert sum(sum(took) for took, _ in found.values()) == pytest.approx(2500)


def test_event_that_is_never_visible_is_an_error(notes: Notes) -> None:
    with pytest.raises(IndexError):
        milliseconds([Sent(2.0, 2.5, 0, 19)], {0: [Visible(1.5, 10)]}, notes)
