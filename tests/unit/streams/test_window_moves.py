"""Moves of counts between gate windows: sums stay, and a count moves only from a window that holds it."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.pipeline.record import Provenance, RawBody
from schemas.pipeline.sender import Sender
from sinks.postgres.identity.attribution import Attribution, Unattributed
from sinks.windows import WindowKey
from streams.attribution import Move, move_of, window_changes

WINDOW = WindowKey(7, 0, "t.raw", 1, False)
MOVES = st.lists(
    st.builds(
        Move, st.sampled_from([WINDOW, WINDOW._replace(minute=8)]), st.sampled_from([2, 3]), st.sampled_from([1, 2])
    )
)
COUNTS = st.lists(st.integers(0, 4), min_size=7, max_size=7)


@given(moves=MOVES, counts=COUNTS)
def test_window_changes_keep_every_sum(moves: list[Move], counts: list[int]) -> None:
    """Sums per minute and reason over all sites stay, and no window becomes negative."""
    present = {WINDOW: counts}

    changes, without = window_changes(moves, present)

    for column in range(7):
        assert sum(change[column] for change in changes.values()) == 0
    for key, change in changes.items():
        held = present.get(key, [0] * 7)
        assert all(before + added >= 0 for before, added in zip(held, change, strict=True))
    assert without == len(moves) - sum(
        -change[column] for key, change in changes.items() if key.site_id == 0 for column in (2, 3)
    )


def test_window_changes_move_a_count_to_its_site() -> None:
    """One count moves from the window of unreadable sites to the sender's."""
    changes, without = window_changes([Move(WINDOW, 2, 5)] * 3, {WINDOW: [0, 0, 2, 0, 0, 0, 0]})

    assert changes == {WINDOW: [0, 0, -2, 0, 0, 0, 0], WINDOW._replace(site_id=5): [0, 0, 2, 0, 0, 0, 0]}
    assert without == 1


@pytest.mark.parametrize("reason", ["of_a_later_release", None])
def test_a_row_of_no_reason_that_is_counted_moves_nothing(reason: str | None) -> None:
    """No window counts such a row."""
    place, now = Provenance("t.raw", 1, 0), datetime.now(UTC)
    row = Unattributed(place, None, None, None, RawBody(None, None, ()), now, now, 0, "schema_violation", None)
    found = Attribution(place, 5, "s", "e", Sender.SERVER)
    assert move_of(row, found, {}) is not None
    assert move_of(row._replace(dropped_reason=reason), found, {}) is None
