"""The reserve of shared token buckets: for users that used little, whatever the others owe."""

import pytest

from bridge.http.problems import Problem
from bridge.http.token_buckets import Buckets, SharedBuckets


class Clock:
    """A clock that only the test advances."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def lets(buckets: SharedBuckets, user: str, count: int) -> bool:
    """Whether the user may take so many tokens of the bucket `s1`; they are taken if so."""
    try:
        buckets.ask("s1", user, count)
    except Problem:
        return False
    buckets.charge("s1", user, count)
    return True


def test_a_debt_leaves_the_reserve_to_users_that_used_little(clock: Clock) -> None:
    """Work is charged after it is done, and may cost many times what the bucket holds."""
    buckets = SharedBuckets("events", 320, clock)
    buckets.charge("s1", "much", 30)
    buckets.charge("s1", "much", 100_000)

    assert not lets(buckets, "much", 1)
    assert [lets(buckets, f"little{number}", 10) for number in range(16)] == [True] * 16
    assert not lets(buckets, "little16", 1)


def test_the_refill_pays_a_debt_and_keeps_the_reserve_full(clock: Clock) -> None:
    """Both have their part of the refill once the reserve is full."""
    buckets = SharedBuckets("events", 320, clock)
    buckets.charge("s1", "much", 30)
    buckets.charge("s1", "much", 450 + 640)
    assert lets(buckets, "little", 160)
    clock.now = 0.5
    assert lets(buckets, "other", 160)
    clock.now = 2.4

    # Half a second filled the reserve, and another half again; two seconds pay the debt.
    with pytest.raises(Problem):
        buckets.owes_nothing("s1", "much")
    buckets.owes_nothing("s1", "much", own=400)
    clock.now = 3.1
    buckets.owes_nothing("s1", "much")


def test_a_user_that_used_much_is_refused_before_the_reserve(clock: Clock) -> None:
    """It may use three quarters, and is told when there is more."""
    buckets = SharedBuckets("events", 320, clock)
    assert lets(buckets, "much", 100)
    assert lets(buckets, "much", 380)

    with pytest.raises(Problem, match="events: 320 a second") as refused:
        buckets.ask("s1", "much", 640)

    assert refused.value.retry_after == 2
    assert lets(buckets, "little", 160)


def test_a_user_has_no_more_of_the_reserve_than_what_is_little(clock: Clock) -> None:
    """The first work of a new user may cost much, too."""
    buckets = SharedBuckets("events", 320, clock)
    for number in range(4):
        buckets.charge("s1", f"new{number}", 5000)

    assert not lets(buckets, "new0", 1)
    assert [lets(buckets, f"little{number}", 10) for number in range(10)] == [True] * 10
    assert not lets(buckets, "little10", 1)


def test_users_of_a_bucket_without_a_reserve_are_one(clock: Clock) -> None:
    """A server's addresses are its owner's."""
    buckets = SharedBuckets("events", 320, clock, shared=False)
    assert lets(buckets, "a", 640)
    buckets.charge("s1", "a", 320 * 10)
    with pytest.raises(Problem) as refused:
        buckets.ask("s1", "b", 320)
    assert refused.value.retry_after == 11
    clock.now = 10.0

    with pytest.raises(Problem) as refused:
        buckets.ask("s1", "b", 320)
    assert refused.value.retry_after == 1
    buckets.owes_nothing("s1", "b")
    clock.now = 10.1
    assert lets(buckets, "b", 1)


def test_no_rate_means_no_limit(clock: Clock) -> None:
    """Neither tokens nor debts count."""
    buckets = SharedBuckets("events", 0, clock)
    assert all(lets(buckets, "a", 1_000_000) for _ in range(3))
    buckets.owes_nothing("s1", "a")


def test_level_is_less_by_the_debt(clock: Clock) -> None:
    """A plain bucket has either tokens or a debt."""
    buckets = Buckets("events", 10, clock)
    buckets.charge("s1", 50)

    assert (buckets.level("s1"), buckets.debt("s1")) == (-30, 30)
    clock.now = 4.0
    assert (buckets.level("s1"), buckets.debt("s1")) == (10, 0)
