"""The audit's sums with closing entries: any division of rows into kept and closed ones balances, and no other does."""

from hypothesis import given
from hypothesis import strategies as st

from schemas.pipeline.audit_snapshot import Break, Closed, Ledgers, Removals, Snapshot
from schemas.pipeline.record import TopicPartition
from streams.rules.closed import chain_problems, counterpart_problems, with_closed

PLACE = TopicPartition("raw", 0)
NOTHING = Closed("raw", 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0)
KEPT = Ledgers("raw", 0, 0, 9, *(0,) * 8, *(0, None) * 5)


def problems(events: int, rows: int, closed_events: int, closed_rows: int) -> list[str]:
    """The problems with these numbers of kept events and healed rows without counterpart, and of closed ones."""
    kept = KEPT._replace(retried_without_ledger=events, healed_without_event=rows)
    closed = NOTHING._replace(events=closed_events, ledger=closed_rows, healed=closed_rows)
    return list(counterpart_problems(PLACE, kept, closed))


@given(
    st.lists(st.tuples(st.booleans(), st.booleans()), max_size=30),
    st.sampled_from([(0, 0), (1, 0), (0, 1)]),
)
def test_a_missing_row_is_found_and_no_other(healed: list[tuple[bool, bool]], missing: tuple[int, int]) -> None:
    """Of each healed event, its event and its ledger row are kept or closed, whichever of them."""
    events = sum(event and not row for event, row in healed)
    rows = sum(row and not event for event, row in healed)
    closed_events, closed_rows = (sum(not pair[which] for pair in healed) for which in (0, 1))
    # One more event without a ledger row, or the reverse: its counterpart was removed by hand.
    found = problems(events + missing[0], rows + missing[1], closed_events, closed_rows)

    assert bool(found) is any(missing)


def test_kept_and_closed_rows_are_added() -> None:
    """A partition of which nothing is kept is counted too."""
    closed = NOTHING._replace(
        first_offset=3, last_offset=7, events=2, events_at_once=1, ledger=4, healed=1, dropped=3, retried=5
    )
    kept = KEPT._replace(
        first_offset=5, last_offset=20, persisted=10, persisted_at_once=8, ledger=6, healed=2, dropped=4, retried=7
    )
    other = TopicPartition("raw", 1)
    snapshot = Snapshot({}, {}, ledgers={PLACE: kept}, removals=Removals({PLACE: closed, other: closed}, {}, 0, 2))
    ledgers = with_closed(snapshot).ledgers or {}
    one = ledgers[PLACE]

    assert (one.first_offset, one.last_offset, one.persisted, one.persisted_at_once) == (3, 20, 12, 9)
    assert (one.ledger, one.healed, one.dropped, one.retried, one.later_attempts) == (10, 3, 7, 12, 5)
    assert (ledgers[other].first_offset, ledgers[other].persisted, ledgers[other].dropped) == (3, 2, 3)


def test_each_break_of_the_chain_is_named() -> None:
    """The line names the entry and its fault."""
    breaks = [Break(4, "missing", 1), Break(5, "edited", 4), Break(6, "before", 5), Break(9, "end", 6)]

    assert list(chain_problems(Removals({}, {}, 0, 0, breaks))) == [
        "removal: closing entries 2 to 3 are missing",
        "removal: closing entry 5 was changed: its digest is not that of its columns",
        "removal: closing entry 6 has not the digest of the entry before it, so that one was replaced",
        "removal: the chain ends at closing entry 6, but closing entry 9 was written last",
    ]
