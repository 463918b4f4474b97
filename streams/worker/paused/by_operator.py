"""Partitions of one lane that an operator has paused with `bridge pause`."""

from collections.abc import Iterable, Mapping

import structlog

from schemas.pipeline.record import TopicPartition
from telemetry import metrics

log = structlog.get_logger(__name__)


class PausedByOperator:
    """The partitions of a lane that are paused now, with a log line and a metric for each change."""

    def __init__(self, lane: str) -> None:
        self._lane = lane
        self._paused: set[TopicPartition] = set()

    def __contains__(self, source: TopicPartition) -> bool:
        return source in self._paused

    def changed(
        self, sources: Iterable[TopicPartition], why: Mapping[TopicPartition, str]
    ) -> tuple[set[TopicPartition], set[TopicPartition]]:
        """Return the partitions whose pause began, and those whose pause ended, since the last call."""
        before, self._paused = self._paused, {source for source in sources if source.in_kafka in why}
        begun, ended = self._paused - before, before - self._paused
        for source in begun | ended:
            metrics.PAUSED_BY_HAND.labels(source.in_kafka.topic, str(source.partition)).set(source in self._paused)
        for source in sorted(begun):
            log.warning("partition_paused", lane=self._lane, partition=str(source), reason=why[source.in_kafka])
        for source in sorted(ended):
            log.warning("partition_resumed", lane=self._lane, partition=str(source))
        return begun, ended
