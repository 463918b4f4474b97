"""The retry policy: tiers, cap, jitter, tiers by class, and due times."""

import pytest

from schemas.config.settings import Settings
from schemas.reasons import ErrorClass
from streams.rules.retry_policy import Retry, due_at_ms, retry_policy

UNKNOWN, VERSION = ErrorClass.UNKNOWN_SCRIPT, ErrorClass.UNSUPPORTED_SCHEMA_VERSION


def settings(**given: object) -> Settings:
    return Settings(retry_jitter_pct=0, **given)  # type: ignore[arg-type]


def test_each_retry_uses_the_next_tier_and_then_the_last() -> None:
    """Retry n waits in tier min(n, last)."""
    policy = retry_policy(settings(retry_delays=("15s", "30s"), max_retries=3), lambda: 0.0)
    decided = [policy.decide(UNKNOWN, attempt, 1000) for attempt in (1, 2, 3, 4)]
    assert decided == [
        Retry("bridge.retry.15s", 16_000), Retry("bridge.retry.30s", 31_000), Retry("bridge.retry.30s", 31_000), None,
    ]  # fmt: skip


def test_no_retries_at_all() -> None:
    """With max_retries 0 the first failure is the last."""
    assert retry_policy(settings(max_retries=0), lambda: 0.0).decide(UNKNOWN, 1, 0) is None


def test_an_event_that_is_retried_endlessly_has_a_last_attempt() -> None:
    """A pause uses up no retries, but Postgres' column holds no larger number."""
    policy = retry_policy(settings(retry_delays=("15s",), max_retries=3), lambda: 0.0)
    decided = [policy.decide(ErrorClass.SCRIPT_PAUSED, attempt, 0) for attempt in (4, 10**9 - 1, 10**9, 2**31)]
    assert decided == [Retry("bridge.retry.15s", 15_000), Retry("bridge.retry.15s", 15_000), None, None]


def test_the_cap_holds_every_tier() -> None:
    """No retry waits longer than the cap, for any topic name."""
    policy = retry_policy(settings(retry_delays=("10m",), retry_delay_cap="300s"), lambda: 0.0)
    assert policy.decide(UNKNOWN, 1, 0) == Retry("bridge.retry.10m", 300_000)


@pytest.mark.parametrize(("random", "expected"), [(0.0, 15_000), (0.5, 15_750), (1.0, 16_500)])
def test_jitter_only_adds(random: float, expected: int) -> None:
    """Jitter adds up to its share of the delay and never shortens it."""
    retry = retry_policy(Settings(retry_jitter_pct=10), lambda: random).decide(UNKNOWN, 1, 0)
    assert retry == Retry("bridge.retry.15s", expected)


def test_jitter_is_the_same_for_all_retries_of_a_worker() -> None:
    """A partition resumes in order, so each record would wait for the latest before it."""
    drawn = iter([0.3, 0.9])
    policy = retry_policy(Settings(retry_jitter_pct=10), lambda: next(drawn))
    assert {policy.decide(UNKNOWN, 1, 0) for _ in range(5)} == {Retry("bridge.retry.15s", 15_450)}


def test_a_class_may_have_tiers_of_its_own() -> None:
    """Other classes keep the general tiers."""
    policy = retry_policy(settings(retry_tiers_by_class={UNKNOWN: ("60s",)}), lambda: 0.0)
    assert policy.decide(UNKNOWN, 1, 0) == Retry("bridge.retry.60s", 60_000)
    assert policy.decide(VERSION, 1, 0) == Retry("bridge.retry.15s", 15_000)


@pytest.mark.parametrize(
    ("header", "due"), [(None, 2100), (1500, 1500), (2100, 2100), (2101, 2100), (10**18, 2100), (0, 0)]
)
def test_due_is_the_header_but_never_later_than_the_delay_allows(header: int | None, due: int) -> None:
    """A record is due at the header's time, but at most 1.1 delays after the record's time."""
    assert due_at_ms(header, 1000, 1000) == due
