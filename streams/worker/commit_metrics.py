"""The metrics that a commit changes."""

from collections import Counter as Tally
from collections.abc import Sequence

from schemas.pipeline.outcome import Outcomes
from schemas.pipeline.sender import Sender
from schemas.reasons import DroppedReason
from sinks.ports import CommitResult
from sinks.windows import Windows
from telemetry import metrics


def settled(committed: CommitResult, outcomes: Sequence[Outcomes], now_ms: int, raw_topic: str) -> None:
    """Count one commit in the metrics. `now_ms` is the time of the commit, in milliseconds since the epoch."""
    tally = committed.tally
    for sender, count in committed.senders.items():
        metrics.EVENTS.labels("normalized", sender.value).inc(count)
    metrics.EVENTS.labels("normalized", metrics.REPLAY).inc(committed.replayed)
    metrics.STALE.inc(tally.stale)
    metrics.SKIPPED.inc(tally.skipped)
    metrics.CLAMPED.inc(sum(one.clamped for one in outcomes))
    metrics.BATCH_RECORDS.observe(tally.processed)
    for one in outcomes:
        for headers, count in one.unproven.items():
            metrics.UNPROVEN.labels(headers).inc(count)
        for reason, count in one.read.items():
            metrics.count_read(reason, count)
        if one.batch.source.in_kafka.topic == raw_topic:
            replays = {attempt.provenance.offset for attempt in one.of_ledger if attempt.replay is not None}
            ages = [record.timestamp for record in one.batch.records if record.offset not in replays]
            metrics.FRESHNESS.observe_ages(ages, now_ms)
    # Duplicates that only the key table knew were candidates until the commit.
    metrics.DEDUP_HITS.inc(
        sum(failure.dropped_reason is DroppedReason.DUPLICATE_EVENT_ID for one in outcomes for failure in one.failures)
    )
    _count_failures(committed)
    _count_sites(committed.windows)


def _count_failures(committed: CommitResult) -> None:
    counts = Tally(
        (one.dropped_reason, one.error_class, one.has_dead_letter, one.sender, one.attempt.replay is not None)
        for one in committed.failures
    )
    for (reason, error_class, dead_letter, known, is_replay), count in counts.items():
        # A record whose proof names an unknown key counts as a Kafka producer's.
        sender = metrics.REPLAY if is_replay else (known or Sender.DIRECT).value
        if reason is None:
            metrics.RETRIES.labels(error_class.value).inc(count)
            metrics.EVENTS.labels("retried", sender).inc(count)
            continue
        metrics.EVENTS.labels("dropped", sender).inc(count)
        metrics.DROPPED.labels(reason.value, sender).inc(count)
        if dead_letter:
            metrics.DEAD_LETTERS.labels(reason.value, sender).inc(count)


def _count_sites(windows: Windows) -> None:
    """Count a commit's events by site.

    The numbers are from the commit's gate windows (counts by minute, site and partition), of which there are tens,
    instead of from thousands of events.
    """
    counts: Tally[tuple[str, str]] = Tally()
    for window, (normalized, retried, *drops) in windows.items():
        site = metrics.SITES.label(window.site_id)
        counts["normalized", site] += normalized
        counts["retried", site] += retried
        counts["dropped", site] += sum(drops)
    for (outcome, site), count in counts.items():
        if count:
            metrics.SITE_EVENTS.labels(site, outcome).inc(count)
