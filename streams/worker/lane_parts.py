"""The objects that the lanes of one worker (its tasks that commit batches) share."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from schemas.pipeline.record import TopicPartition
from schemas.pipeline.registry import Registry
from sinks.ports import Publisher, Sink
from streams.pipeline.normalize import Bounds
from streams.pipeline.trust import GatewayTrust
from streams.rules.breaker import BreakerJudge
from streams.rules.retry_policy import RetryPolicy
from streams.source.kafka import Source


@dataclass(frozen=True, slots=True)
class LaneParts:
    """The objects that the worker's lanes share. A lane is a task that reads some partitions and commits their batches.

    `now_ms` and `monotonic` are the lanes' clocks. `paused` returns the partitions that operators have paused, with the
    reasons.
    """

    source: Source
    publisher: Publisher
    make_sink: Callable[[], Sink]
    registry: Callable[[], Registry]
    trust: Callable[[], GatewayTrust]
    paused: Callable[[], Mapping[TopicPartition, str]]
    policy: RetryPolicy
    bounds: Bounds
    raw_topic: str
    max_records: int
    dedup_hints: int
    brake: BreakerJudge
    brake_probe_seconds: float
    random: Callable[[], float]
    now_ms: Callable[[], int]
    monotonic: Callable[[], float] = time.monotonic
