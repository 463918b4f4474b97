"""The rate limiter of a run, with the test's own clock."""

from collections.abc import Iterator
from itertools import chain, repeat
from types import SimpleNamespace

import pytest

from bridge.jobs.pace import Pace, turn_ended


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


def test_a_replay_behind_its_rate_sends_larger_batches() -> None:
    """Otherwise a replay whose batches are committed late would stay behind its rate."""
    now = 10.0
    pace = Pace(100, lambda: now)
    now = 11.0
    assert pace.batch(1000) == 100
    now = 60.0
    assert pace.batch(200) == 200


def test_batches_are_small_enough_to_be_stopped_between() -> None:
    """A batch has a quarter of a second's items, and at least one."""
    assert [Pace(rate, lambda: 0.0).batch(1000) for rate in (1 / 60, 3, 100, 1_000_000)] == [1, 1, 25, 1000]


@pytest.mark.parametrize(
    ("counts", "looks"), [(chain(range(20, 0, -1), repeat(0)), 20), (chain((3, 2), repeat(1)), 5), (repeat(0), 0)]
)
async def test_a_turn_ends_when_it_is_committed_or_stands_still(
    monkeypatch: pytest.MonkeyPatch, counts: Iterator[int], looks: int
) -> None:
    """Slow progress is waited for, whatever its time."""
    now, done = 0.0, 0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += 5

    async def in_flight() -> int:
        return next(counts)

    async def look() -> None:
        nonlocal done
        done += 1

    monkeypatch.setattr("bridge.jobs.pace.asyncio", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr("bridge.jobs.pace.time", SimpleNamespace(monotonic=lambda: now))
    await turn_ended(in_flight, look)
    assert done == looks


async def test_a_turn_goes_on_while_its_items_do_not_stand_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """After ten seconds without a commit it is asked whether they do, again and again."""
    now, asked = 0.0, 0

    async def sleep(seconds: float) -> None:
        nonlocal now
        now += 5

    async def in_flight() -> int:
        return 7

    async def look() -> None:
        return

    async def stands_still(left: int) -> bool:
        nonlocal asked
        asked += 1
        assert left == 7
        return asked == 4

    monkeypatch.setattr("bridge.jobs.pace.asyncio", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr("bridge.jobs.pace.time", SimpleNamespace(monotonic=lambda: now))
    assert await turn_ended(in_flight, look, stands_still) == 7
    assert (asked, now) == (4, 60.0)
