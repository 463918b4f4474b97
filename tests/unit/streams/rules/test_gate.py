"""The gate's figures: a value at the limit passes and a value above it fails."""

from decimal import Decimal

import pytest

from schemas.documents.gate import RunLimits, WindowLimits, WindowSums
from streams.rules.gate import judge_run, judge_window

RUN = RunLimits(50, Decimal(20))
WINDOW = WindowLimits(Decimal(20), Decimal(3), 100)


@pytest.mark.parametrize(("dropped", "passed"), [(0, True), (50, True), (51, False)])
def test_drops_of_a_run(dropped: int, passed: bool) -> None:
    """50 pass and 51 fail; every reason counts, duplicates included, and the message lists the counts by reason."""
    found = judge_run(
        processed=1000, retried=0, dropped=dropped, limits=RUN, by_reason={"duplicate_event_id": dropped, "none": 0}
    )
    assert found.passed is passed
    if not passed:
        assert found.reasons == ["51 dropped, at most 50 are allowed (duplicate_event_id 51)"]


@pytest.mark.parametrize(
    ("processed", "retried", "passed"),
    [(1000, 200, True), (1000, 201, False), (0, 0, True), (5, 1, True), (4, 1, False), (3, 3, False)],
)
def test_retries_of_a_run(processed: int, retried: int, passed: bool) -> None:
    """20.0 % passes, 20.1 % fails, and a run that processed nothing passes."""
    assert judge_run(processed=processed, retried=retried, dropped=0, limits=RUN, by_reason={}).passed is passed


def test_a_ratio_is_compared_exactly() -> None:
    """20.1 % is no binary fraction; a value exactly at the limit passes."""
    limits = RunLimits(50, Decimal("20.1"))
    assert judge_run(processed=1000, retried=201, dropped=0, limits=limits, by_reason={}).passed
    assert not judge_run(processed=10000, retried=2011, dropped=0, limits=limits, by_reason={}).passed


def sums(processed: int, retried: int = 0, dropped: int = 0, duplicates: int = 0) -> WindowSums:
    return WindowSums("site:1", processed, processed - retried - dropped, retried, dropped, duplicates)


@pytest.mark.parametrize(
    ("window", "passed"),
    [
        (sums(1000, retried=200), True),
        (sums(1000, retried=201), False),
        (sums(1000, dropped=30), True),
        (sums(1000, dropped=31), False),
        (sums(1000, dropped=900, duplicates=870), True),
        (sums(99, retried=99), True),
        (sums(100, retried=100), False),
        (sums(0), True),
    ],
)
def test_windows(window: WindowSums, passed: bool) -> None:
    """The gate uses ratios, ignores duplicates, and passes windows with few events."""
    found = judge_window(window, WINDOW)
    assert found.passed is passed
    assert bool(found.reasons) is not passed


def test_a_failing_target_recovers_below_its_limit_only() -> None:
    """Between recovery and limit the verdict stays, so that alerts do not flap."""
    between = sums(1000, retried=180)
    assert judge_window(between, WINDOW).passed
    assert not judge_window(between, WINDOW, failing=True).passed
    assert judge_window(sums(1000, retried=160), WINDOW, failing=True).passed
