"""The age of an open transaction: the time since the log's stable end last moved."""

from schemas.pipeline.record import TopicPartition
from streams.source.open_transactions import OpenTransactions, Sight

LOG = TopicPartition("t.raw", 0)


def test_the_same_transaction_grows_old() -> None:
    """The age counts from the first observation, regardless of later records."""
    seen = OpenTransactions()

    assert [seen.seconds(LOG, Sight(7, end), now) for end, now in ((7, 0.0), (8, 1.0), (9, 2.0), (99, 62.0))] == [
        0.0, 0.0, 1.0, 61.0,
    ]  # fmt: skip


def test_transactions_that_end_are_not_old() -> None:
    """Each observation finds a different open transaction."""
    seen = OpenTransactions()

    assert [seen.seconds(LOG, Sight(7 + now, 9 + now), float(now)) for now in range(0, 600, 60)] == [0.0] * 10


def test_it_is_forgotten_with_its_end_and_with_its_log() -> None:
    """An earlier transaction adds nothing to the next one's age."""
    seen = OpenTransactions()
    for end in (lambda: seen.seconds(LOG, Sight(8, 8), 50.0), lambda: seen.forget(LOG)):
        seen.seconds(LOG, Sight(7, 8), 0.0)
        end()
        assert seen.seconds(LOG, Sight(7, 8), 60.0) == 0.0
