"""Gate windows: the counts of one commit."""

from support.events.making import NOW_MS, RAW, judged, record

from schemas.pipeline.outcome import UNCONFIRMED_SITE, Outcomes, ReplayClaim, duplicate
from schemas.pipeline.record import Provenance
from schemas.reasons import DroppedReason, ErrorClass
from sinks.windows import WindowKey, count_windows, window_columns

MINUTE = NOW_MS // 60_000


def counted(outcomes: Outcomes) -> dict[WindowKey, list[int]]:
    return dict(count_windows(outcomes.candidates, outcomes.failures))


def test_outcomes_fall_into_their_columns() -> None:
    """normalized, retried, then drops by reason, per site; an unregistered site counts for site 0."""
    outcomes = judged(
        record(0), record(1, event_id="b"), record(2, script_id="nowhere"), record(3, value=b"{"), record(4, event_type=""),
        record(5, site_id=2, script_id="blog"),
    )  # fmt: skip
    assert counted(outcomes) == {
        WindowKey(MINUTE, 1, RAW, 0, False): [2, 1, 0, 1, 0, 0, 0],
        WindowKey(MINUTE, UNCONFIRMED_SITE, RAW, 0, False): [0, 0, 1, 0, 0, 0, 0],
        WindowKey(MINUTE, 2, RAW, 0, False): [1, 0, 0, 0, 0, 0, 0],
    }


def test_every_dropped_reason_has_its_column() -> None:
    """A new reason needs a column before it can be counted."""
    (failure,) = judged(record(0, event_type="")).failures
    columns = set()
    for reason in DroppedReason:
        failure.dropped_reason = reason
        ((_, counts),) = count_windows([], [failure]).items()
        columns.add(counts.index(1))
    assert columns == set(range(2, 2 + len(DroppedReason)))


def test_the_minute_is_the_records_and_replays_stand_apart() -> None:
    """A record of the next minute and a replay of the same one have windows of their own."""
    outcomes = judged(record(0), record(1, timestamp=NOW_MS + 60_000), record(2), record(3, event_type=""))
    for one in (outcomes.candidates[2], outcomes.failures[0]):
        one.attempt.replay = ReplayClaim("id", Provenance(RAW, 0, 9))
    sums = {key: sum(counts) for key, counts in counted(outcomes).items()}
    assert sums == {
        WindowKey(MINUTE, 1, RAW, 0, False): 1,
        WindowKey(MINUTE + 1, 1, RAW, 0, False): 1,
        WindowKey(MINUTE, 1, RAW, 0, True): 2,
    }


def test_a_late_duplicate_counts_as_one() -> None:
    """A candidate that lost its key is a duplicate."""
    (candidate,) = judged(record(0)).candidates
    failure = duplicate(candidate)
    assert failure.error_class is ErrorClass.DUPLICATE_EVENT_ID
    assert count_windows([], [failure])[WindowKey(MINUTE, 1, RAW, 0, False)] == [0, 0, 0, 0, 1, 0, 0]


def test_columns_for_the_statement() -> None:
    """There is one list for each key column, then one for each count."""
    columns = window_columns(count_windows(judged(record(0)).candidates, []))
    assert columns == [[MINUTE], [1], [RAW], [0], [False], [1], [0], [0], [0], [0], [0], [0]]
