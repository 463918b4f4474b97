"""The retry policy: the rule for when a failed attempt is repeated, and on which retry topic; pure."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from schemas.config.settings import Settings
from schemas.reasons import ERRORS, ErrorClass

LATEST_FACTOR = 1.1
"""The longest wait of a retry, as a multiple of its tier's delay, regardless of headers and clocks."""


MOST_RETRIES = 999_999_999
"""How often an event is retried whose retries have no other limit: the largest `retry_count` of a waiting row."""


class Tier(NamedTuple):
    """One retry topic and its delay in milliseconds."""

    topic: str
    delay_ms: int


class Retry(NamedTuple):
    """The next attempt at an event: on the retry topic `topic`, not before `due_at_ms` (since the epoch)."""

    topic: str
    due_at_ms: int


class RetryPolicy(NamedTuple):
    """The rule for when a failed attempt is repeated, and on which retry topic.

    The n-th retry uses the n-th tier (a retry topic with a delay) of the error class, or the last tier. `jitter` is the
    share that is added to each delay.

    All retries of a worker have the same jitter. A partition is read in order, so with different jitters every record
    would wait for the latest of the records before it.
    """

    tiers: tuple[Tier, ...]
    by_class: Mapping[str, tuple[Tier, ...]]
    max_retries: int
    jitter: float

    @property
    def delays_ms(self) -> dict[str, int]:
        """The delay of each retry topic in milliseconds."""
        return {tier.topic: tier.delay_ms for tier in self.tiers}

    def tier(self, error_class: str, failures: int) -> Tier:
        """Return the tier of the retry after this number of failures, of which `error_class` is the last one's class.

        An earlier release may have had more error classes or more tiers.
        """
        tiers = self.by_class.get(error_class, self.tiers)
        return tiers[min(failures, len(tiers)) - 1]

    def decide(self, error_class: ErrorClass, failed_attempt: int, now_ms: int) -> Retry | None:
        """Return the retry after attempt number `failed_attempt` (from 1) has failed; None when no retry is left."""
        if failed_attempt > MOST_RETRIES or (failed_attempt > self.max_retries and not ERRORS[error_class].endlessly):
            return None
        tier = self.tier(error_class, failed_attempt)
        return Retry(tier.topic, now_ms + round(tier.delay_ms * (1 + self.jitter)))


def retry_policy(settings: Settings, random: Callable[[], float]) -> RetryPolicy:
    """Return the retry policy of the settings. `random` is called once, and must return a number from 0 to 1."""
    cap = settings.retry_delay_cap.seconds
    named: dict[str, Tier] = {
        label: Tier(topic, round(min(label.seconds, cap) * 1000))
        for label, topic in zip(settings.retry_delays, settings.topics.retries, strict=True)
    }
    by_class: dict[str, tuple[Tier, ...]] = {
        error_class: tuple(named[label] for label in labels)
        for error_class, labels in settings.retry_tiers_by_class.items()
    }
    jitter = settings.retry_jitter_pct / 100 * random()
    return RetryPolicy(tuple(named.values()), by_class, settings.max_retries, jitter)


def tier_labels(settings: Settings) -> Callable[[str, int], str]:
    """Return a function that names an event's next tier (a retry topic with a delay), for reports.

    The function's arguments are the event's last error class and its number of failures.
    """
    policy = retry_policy(settings, lambda: 0.0)
    labels = dict(zip(settings.topics.retries, settings.retry_delays, strict=True))
    return lambda error_class, failures: labels[policy.tier(error_class, failures).topic]


def due_at_ms(header_due_ms: int | None, record_time_ms: int, delay_ms: int) -> int:
    """Return when a retry record is due, in milliseconds since the epoch.

    It is the time in the record's header, but at most 1.1 times the topic's delay after the record's own timestamp.
    """
    latest = record_time_ms + round(delay_ms * LATEST_FACTOR)
    return latest if header_due_ms is None else min(header_due_ms, latest)
