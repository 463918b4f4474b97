"""The rate limiter of a run, with the test's own clock."""

from bridge.jobs.pace import Pace


def test_without_a_rate_nothing_waits() -> None:
    """Batches have their maximum size."""
    pace = Pace(0, lambda: 0.0)
    pace.sent(1_000_000)
    assert (pace.batch(1000), pace.seconds_to_wait()) == (1000, 0.0)


def test_a_rate_is_kept_over_the_whole_run() -> None:
    """500 items at 100 a second take at least five seconds."""
    now = 10.0
    pace = Pace(100, lambda: now)
    pace.sent(500)
    assert pace.seconds_to_wait() == 5.0
    now = 14.0
    assert pace.seconds_to_wait() == 1.0
    assert pace.per_second() == 125.0
    now = 16.0
    assert pace.seconds_to_wait() < 0


def test_batches_are_small_enough_to_be_stopped_between() -> None:
    """A batch has a quarter of a second's items, and at least one."""
    assert [Pace(rate, lambda: 0.0).batch(1000) for rate in (1 / 60, 3, 100, 1_000_000)] == [1, 1, 25, 1000]
