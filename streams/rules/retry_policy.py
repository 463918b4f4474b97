"""When a failed attempt is tried again, and on which topic: a pure policy."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from schemas.config.duration import duration_seconds
from schemas.config.settings import Settings
from schemas.reasons import ERRORS, ErrorClass

LATEST_FACTOR = 1.1
"""No retry waits longer than this many times its tier's delay, whatever a header or a clock says."""


class Tier(NamedTuple):
    """One retry topic and its delay in milliseconds."""

    topic: str
    delay_ms: int


class Retry(NamedTuple):
    """The next attempt: on `topic`, not before `due_at_ms` (milliseconds since the epoch)."""

    topic: str
    due_at_ms: int


class RetryPolicy(NamedTuple):
    """Retry n uses the n-th tier of its error class, or the last one. `jitter` is the share added to each delay.

    It is the same for all retries of a worker: a partition is let go in order, so that one of its own for each record
    would make every record wait for the latest before it.
    """

    tiers: tuple[Tier, ...]
    by_class: Mapping[ErrorClass, tuple[Tier, ...]]
    max_retries: int
    jitter: float

    def decide(self, error_class: ErrorClass, failed_attempt: int, now_ms: int) -> Retry | None:
        """The retry after attempt number `failed_attempt` (from 1), or None when the tries are used up."""
        if failed_attempt > self.max_retries and not ERRORS[error_class].endlessly:
            return None
        tiers = self.by_class.get(error_class, self.tiers)
        tier = tiers[min(failed_attempt, len(tiers)) - 1]
        return Retry(tier.topic, now_ms + round(tier.delay_ms * (1 + self.jitter)))


def retry_policy(settings: Settings, random: Callable[[], float]) -> RetryPolicy:
    """The policy that the settings declare; `random` gives 0..1 and is asked once."""
    cap = settings.seconds("retry_delay_cap")
    named = {
        label: Tier(topic, round(min(duration_seconds(label), cap) * 1000))
        for label, topic in zip(settings.retry_delays, settings.topics.retries, strict=True)
    }
    by_class = {
        error_class: tuple(named[label] for label in labels)
        for error_class, labels in settings.retry_tiers_by_class.items()
    }
    jitter = settings.retry_jitter_pct / 100 * random()
    return RetryPolicy(tuple(named.values()), by_class, settings.max_retries, jitter)


def tier_labels(settings: Settings) -> Callable[[str, int], str]:
    """The name of the tier in which an event waits, by its last error's class and how often it failed."""
    policy = retry_policy(settings, lambda: 0.0)
    labels = dict(zip(settings.topics.retries, settings.retry_delays, strict=True))
    known = {one.value: tiers for one, tiers in policy.by_class.items()}

    def label(error_class: str, failures: int) -> str:
        # A release that knows more classes may have run before, and the limit may have been lowered.
        tiers = known.get(error_class, policy.tiers)
        return labels[tiers[min(failures, len(tiers)) - 1].topic]

    return label


def due_at_ms(header_due_ms: int | None, record_time_ms: int, delay_ms: int) -> int:
    """When a retry record is due: its header's word, but never later than 1.1 times the delay after its own time."""
    latest = record_time_ms + round(delay_ms * LATEST_FACTOR)
    return latest if header_due_ms is None else min(header_due_ms, latest)
