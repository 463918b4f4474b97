"""An open transaction is as old as the log has stood still before it; quick ones in a row are not one old one."""

from schemas.pipeline.record import TopicPartition
from streams.source.open_transactions import OpenTransactions, Sight

LOG = TopicPartition("t.raw", 0)


def test_the_same_transaction_grows_old() -> None:
    """From when it was first seen, whatever is written behind it."""
    seen = OpenTransactions()

    assert [seen.seconds(LOG, Sight(7, end), now) for end, now in ((7, 0.0), (8, 1.0), (9, 2.0), (99, 62.0))] == [
        0.0, 0.0, 1.0, 61.0,
    ]  # fmt: skip


def test_transactions_that_end_are_not_old() -> None:
    """A log in which one is open at every look, but another one each time."""
    seen = OpenTransactions()

    assert [seen.seconds(LOG, Sight(7 + now, 9 + now), float(now)) for now in range(0, 600, 60)] == [0.0] * 10


def test_it_is_forgotten_with_its_end_and_with_its_log() -> None:
    """Nothing of an earlier one is added to the next."""
    seen = OpenTransactions()
    for end in (lambda: seen.seconds(LOG, Sight(8, 8), 50.0), lambda: seen.forget(LOG)):
        seen.seconds(LOG, Sight(7, 8), 0.0)
        end()
        assert seen.seconds(LOG, Sight(7, 8), 60.0) == 0.0
