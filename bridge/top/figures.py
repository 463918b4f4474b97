"""The numbers that `bridge top` shows: read from Postgres and Kafka, with the rates between two readings."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from schemas.config.settings import Settings
from schemas.documents.gate import Verdict, WindowSums
from schemas.errors import PreconditionFailed, SinkUnavailable
from schemas.pipeline.breaker import BreakerState
from sinks.kafka.admin import committed_lag
from sinks.postgres.breaker.state import breaker_state
from sinks.postgres.gate.verdicts import window_sums
from sinks.postgres.offsets.admin import StoredOffset, stored_offsets
from sinks.postgres.stats.backlog import Backlog, read_backlog
from sinks.postgres.stats.top import Activity, read_activity
from sinks.refusals import refusal
from streams.rules.gate import judge_window
from streams.rules.retry_policy import tier_labels


class Look(NamedTuple):
    """The state of the stream, as read at the time `at`, in seconds of the monotonic clock."""

    at: float
    activity: Activity
    offsets: list[StoredOffset]
    backlog: Backlog
    windows: list[WindowSums]
    brake: BreakerState
    trouble: str = ""


class Glimpse(NamedTuple):
    """The state of the stream as Kafka shows it, while Postgres is unreachable.

    `lag` is in records by topic, computed from the offsets that the workers commit to Kafka.
    """

    lag: dict[str, int]
    trouble: str


class WorkerFigures(NamedTuple):
    """One worker: its partitions, its lanes, how many lanes are busy, and the attempts that it commits in a second.

    A lane is a worker's task that processes batches in order. An attempt is one try to process an event.
    """

    worker: str
    partitions: int
    lanes: int
    busy: int
    per_second: float


class TierFigures(NamedTuple):
    """One retry tier: the events that wait, those that are overdue, and the longest time overdue in seconds."""

    tier: str
    waiting: int
    due: int
    longest_due_seconds: float


class Figures(NamedTuple):
    """The numbers that `bridge top` shows; rates are per second, `lag` is in records by topic.

    `held` has the reason why each paused partition is not read.
    """

    per_second: dict[str, float]
    lag: dict[str, int]
    held: dict[str, str]
    workers: list[WorkerFigures]
    tiers: list[TierFigures]
    dead_letters: dict[str, int]
    replays: dict[str, int]
    windows: list[tuple[WindowSums, Verdict]]
    brake: BreakerState
    trouble: str = ""


async def look(settings: Settings) -> Look | Glimpse:
    """Read the stream's state once, from Postgres and Kafka or the one that answers; raises PreconditionFailed."""
    topics = [settings.topics.raw, *settings.topics.retries]
    try:
        (offsets, trouble), activity, backlog, windows, brake = await asyncio.gather(
            _offsets(settings),
            read_activity(settings.dsn, settings.group, topics),
            read_backlog(settings.dsn, settings.group),
            window_sums(settings.dsn, settings.gate_window.seconds),
            breaker_state(settings.dsn, settings.group),
        )
    except SinkUnavailable as error:
        trouble = refusal(error)
        try:
            return Glimpse(await committed_lag(settings, topics), trouble)
        except PreconditionFailed as kafka:
            raise PreconditionFailed(f"{trouble}; {kafka}") from error
    return Look(time.monotonic(), activity, offsets, backlog, windows, brake, trouble)


async def _offsets(settings: Settings) -> tuple[list[StoredOffset], str]:
    """Return the stored offsets of the partitions, and the reason why the lag is not known, if it is not."""
    try:
        return await stored_offsets(settings), ""
    except PreconditionFailed as error:
        return await stored_offsets(settings, ask_kafka=False), str(error)


def figures(before: Look, now: Look, settings: Settings) -> Figures:
    """Return the numbers of the second reading of the stream's state, with the rates since the first reading."""
    seconds = max(now.at - before.at, 1e-3)
    settled: Counter[str] = Counter()
    by_worker: Counter[str] = Counter()
    for source, counts in now.activity.counts.items():
        # The rate of a partition that is new since the first look is not known.
        then = before.activity.counts.get(source, counts)
        for name in ("normalized", "retried", "dropped"):
            grown = max(0, getattr(counts, name) - getattr(then, name))
            settled[name] += grown
            by_worker[counts.worker] += grown
    lag: Counter[str] = Counter()
    for one in () if now.trouble else now.offsets:
        lag[one.topic] += one.lag or 0
    return Figures(
        per_second={name: count / seconds for name, count in settled.items()},
        lag=dict(lag),
        held={f"{one.topic}:{one.partition}": one.held for one in now.offsets if one.held},
        workers=_workers(now, {worker: count / seconds for worker, count in by_worker.items()}),
        tiers=_tiers(now.backlog, tier_labels(settings), settings.retry_delays),
        dead_letters={one.dropped_reason: one.open for one in now.backlog.dead_letters},
        replays={one.state: one.replays for one in now.backlog.replays},
        windows=[(sums, judge_window(sums, settings.gate_limits)) for sums in now.windows],
        brake=now.brake,
        trouble=now.trouble,
    )


def _workers(now: Look, per_second: dict[str, float]) -> list[WorkerFigures]:
    partitions = Counter(counts.worker for counts in now.activity.counts.values())
    lanes = now.activity.lanes
    found = []
    for worker in sorted(partitions):
        # The partitions of a worker that has ended name it until another worker takes them. It has no session.
        own = next((one for one in lanes if worker and worker.startswith(one.worker)), None)
        of_lanes = (own.lanes, own.busy) if own else (0, 0)
        found.append(WorkerFigures(worker or "nobody", partitions[worker], *of_lanes, per_second.get(worker, 0.0)))
    return found


def _tiers(backlog: Backlog, tier_of: Callable[[str, int], str], labels: tuple[str, ...]) -> list[TierFigures]:
    tiers = {label: TierFigures(label, 0, 0, 0.0) for label in labels}
    for one in backlog.retries:
        tier = tiers[tier_of(one.error_class, one.retry_count)]
        longest = max(tier.longest_due_seconds, one.overdue_seconds if one.overdue else 0.0)
        tiers[tier.tier] = TierFigures(tier.tier, tier.waiting + one.waiting, tier.due + one.overdue, longest)
    return list(tiers.values())


def document(found: Figures | Glimpse) -> dict[str, Any]:
    """Return the numbers as JSON; `trouble` is null, or names the unreachable service."""
    if isinstance(found, Glimpse):
        return {"lag": found.lag, "trouble": found.trouble}
    return {
        "trouble": found.trouble or None,
        "per_second": {name: round(rate, 1) for name, rate in found.per_second.items()},
        "lag": found.lag,
        "held": found.held,
        "workers": [one._asdict() for one in found.workers],
        "retry_tiers": [one._asdict() for one in found.tiers],
        "dead_letters_open": found.dead_letters,
        "replays": found.replays,
        "windows": [sums._asdict() | verdict.model_dump() for sums, verdict in found.windows],
        "brake": {"engaged": found.brake.engaged, "released": found.brake.released, "reason": found.brake.reason},
    }
