"""The objects that the lanes of one worker (its tasks that commit batches) share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from schemas.pipeline.record import TopicPartition
from sinks.ports import Publisher, Sink
from streams.judging import Judging
from streams.rules.breaker import BreakerJudge
from streams.source.kafka import Source
from streams.worker.paused.elsewhere import Elsewhere


@dataclass(frozen=True, slots=True)
class LaneParts(Judging):
    """The objects that the worker's lanes share. A lane is a task that reads some partitions and commits their batches.

    `paused` returns the partitions that operators have paused, with the reasons.
    """

    source: Source
    publisher: Publisher
    make_sink: Callable[[], Sink]
    paused: Callable[[], Mapping[TopicPartition, str]]
    max_records: int
    dedup_hints: int
    brake: BreakerJudge
    brake_probe_seconds: float
    random: Callable[[], float]
    elsewhere: Elsewhere = field(default_factory=Elsewhere)
