"""The commit rules that all sinks share."""

from datetime import UTC, datetime

import pytest
from support.events.making import RAW, RETRY_1, SOURCE, batch, context, judged, process, record

from schemas.errors import BatchRefused
from schemas.pipeline.ledger import LedgerState
from schemas.pipeline.log_identity import mark_of
from schemas.pipeline.outcome import duplicate
from schemas.pipeline.record import Provenance, TopicPartition
from sinks.commit_rules import (
    check_offsets,
    check_tokens,
    first_of_each_key,
    ledger_touched,
    progress,
    replays,
    tally,
)  # fmt: skip

OTHER = TopicPartition(RAW, 1)
ORIGIN = Provenance(RAW, 0, 3)
THEN = datetime(2025, 10, 9, tzinfo=UTC)
WAITING = LedgerState(1, False, THEN, THEN, None, None, None, None)
CLAIMED = LedgerState(0, True, THEN, THEN, "claimed", "id", None, None)


def test_the_first_of_equal_keys_wins_across_batches() -> None:
    """The order is that of the batches and of their offsets."""
    one = judged(record(0, event_id="a"), record(1, event_id="b"), record(2, event_id="a"))
    two = judged(record(0, source=OTHER, event_id="b"))
    winners, copies = first_of_each_key([one, two])
    assert [candidate.attempt.record.offset for candidate in winners.values()] == [0, 1]
    assert [(copy.attempt.record.partition, copy.attempt.record.offset) for copy in copies] == [(0, 2), (1, 0)]


def test_progress_adds_up_per_partition_in_the_order_of_locks() -> None:
    """live = normalized + retried + dropped; late duplicates are drops where they came, and holes are skipped."""
    one = process(
        batch(record(2), record(3, value=b"{"), record(4, script_id="off"), record(6), prev=1, following=9), context()
    )
    two = judged(record(0, source=OTHER))
    winners, copies = first_of_each_key([two, one])
    rows = progress([two, one], [duplicate(copy) for copy in copies])
    assert [row.source for row in rows] == [SOURCE, OTHER]
    assert rows[0] == (SOURCE, 9, (4, 0, 1, 3, 0, 4), mark_of(record(6)))
    assert rows[1] == (OTHER, 1, (1, 1, 0, 0, 0, 0), mark_of(record(0)))
    assert len(winners) == 1
    assert tally(rows) == (5, 1, 1, 3, 0, 4)


def test_no_batches_make_no_tally() -> None:
    """All counts are zero."""
    assert tally(progress([], [])) == (0,) * 6


@pytest.mark.parametrize("stored", [{}, {SOURCE: 0}, {SOURCE: 3}, {OTHER: 2}])
def test_a_batch_must_begin_where_the_offset_stands(stored: dict[TopicPartition, int]) -> None:
    """A missing, earlier or later offset is refused."""
    outcomes = judged(record(2))
    with pytest.raises(BatchRefused, match=f"{RAW}-0"):
        check_offsets(stored, [outcomes])
    check_offsets({SOURCE: 2}, [outcomes])


@pytest.mark.parametrize("state", [None, WAITING._replace(retry_count=2), WAITING._replace(finished=True)])
def test_a_token_must_still_be_awaited(state: LedgerState | None) -> None:
    """A missing, advanced or finished row is refused."""
    with pytest.raises(BatchRefused, match="no longer awaits attempt 2"):
        check_tokens({} if state is None else {ORIGIN: state}, {ORIGIN: 2}, {})
    check_tokens({ORIGIN: WAITING}, {ORIGIN: 2}, {})


@pytest.mark.parametrize(
    "state",
    [None, CLAIMED._replace(replay_id="x"), CLAIMED._replace(replayed_as="y"), CLAIMED._replace(disposition="open")],
)
def test_a_claim_must_still_stand(state: LedgerState | None) -> None:
    """A missing, foreign, used or cancelled claim is refused."""
    replayed = {ORIGIN: ("id", Provenance(RAW, 0, 7))}
    with pytest.raises(BatchRefused, match="no longer claimed"):
        check_tokens({} if state is None else {ORIGIN: state}, {}, replayed)
    check_tokens({ORIGIN: CLAIMED}, {}, replayed)


def test_what_a_settlement_touches_in_the_ledger() -> None:
    """Later attempts use their token and replays their origin; first attempts touch no existing row."""
    token = {"bridge-provenance": str(ORIGIN), "bridge-attempt": "2"}
    later = judged(record(0, source=TopicPartition(RETRY_1, 0), headers=token), ledger={ORIGIN: WAITING})
    claim = {"bridge-replay-id": "id", "bridge-replay-of": str(ORIGIN)}
    replayed = judged(record(7, headers=claim), ledger={ORIGIN: CLAIMED})
    first = judged(record(9, value=b"{"))
    assert ledger_touched([later, replayed, first]) == {ORIGIN: 2}
    assert replays([later, replayed, first]) == {ORIGIN: ("id", Provenance(RAW, 0, 7))}
