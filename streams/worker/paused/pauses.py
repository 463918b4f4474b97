"""The partitions that a lane (a task of the worker) does not read for now, each with its reasons."""

from collections.abc import Collection, Iterable, Mapping
from math import inf
from typing import Final

import structlog

from schemas.pipeline.pause import PauseReason
from schemas.pipeline.record import TopicPartition
from streams.source.kafka import Source
from telemetry import metrics

NOT_POLLED: Final = (PauseReason.REPLACED_LOG, PauseReason.OPERATOR)
"""The reasons for which a poll omits a partition: its position is unknown, or a record fetched before would be
returned."""
_BY_PARTITION: Final = {
    PauseReason.OPERATOR: metrics.PAUSED_BY_HAND,
    PauseReason.REPLACED_LOG: metrics.FOREIGN,
    PauseReason.UNREADABLE: metrics.UNREADABLE,
}

log = structlog.get_logger(__name__)


class Pauses:
    """The paused partitions of one lane (a task that reads partitions), each with its reasons.

    The partitions have their names in Kafka, which stay the same when a log gets another name. A partition is read
    again when its last reason has ended. Times are in seconds of the lane's monotonic clock.
    """

    def __init__(self, lane: str, source: Source) -> None:
        self._lane = lane
        self._source = source
        self._until: dict[PauseReason, dict[TopicPartition, float]] = {reason: {} for reason in PauseReason}

    def __getitem__(self, reason: PauseReason) -> Collection[TopicPartition]:
        return self._until[reason].keys()

    def unpaused(
        self, sources: Iterable[TopicPartition], reasons: Collection[PauseReason] = tuple(PauseReason)
    ) -> list[TopicPartition]:
        """Return those of the given partitions that are paused for none of the given reasons."""
        paused = set[TopicPartition]().union(*(self._until[reason] for reason in reasons))
        return [source for source in sources if source.in_kafka not in paused]

    def pause(self, reason: PauseReason, source: TopicPartition, until: float) -> None:
        """Pause one more partition for the reason. `wake` resumes the partition when its argument reaches `until`."""
        self._change(reason, self._until[reason] | {source.in_kafka: until})

    def wake(self, now: float) -> None:
        """Resume the partitions whose time to resume has come."""
        for reason, paused in self._until.items():
            if any(until <= now for until in paused.values()):
                self._change(reason, {one: until for one, until in paused.items() if until > now})

    def replace(self, reason: PauseReason, sources: Iterable[TopicPartition]) -> set[TopicPartition]:
        """Pause exactly these partitions for the reason, and end this reason for all others.

        Returns the partitions that were not paused for this reason before.
        """
        return self._change(reason, {source.in_kafka: inf for source in sources})[0]

    def by_operator(
        self, sources: Iterable[TopicPartition], why: Mapping[TopicPartition, str]
    ) -> Collection[TopicPartition]:
        """Pause those of the partitions that operators have paused, and resume those that they have resumed.

        `why` has the operators' paused partitions and reasons. Returns the partitions whose pause has begun now.
        """
        named = {source.in_kafka: inf for source in sources if source.in_kafka in why}
        begun, ended = self._change(PauseReason.OPERATOR, named)
        for source in sorted(begun):
            log.warning("partition_paused", lane=self._lane, partition=str(source), reason=why[source])
        for source in sorted(ended):
            log.warning("partition_resumed", lane=self._lane, partition=str(source))
        return begun

    def _change(
        self, reason: PauseReason, until: dict[TopicPartition, float]
    ) -> tuple[set[TopicPartition], set[TopicPartition]]:
        """Set which partitions are paused for the reason, and until when.

        Returns the partitions whose pause for this reason has begun, and those for which it has ended.
        """
        before, self._until[reason] = self._until[reason], until
        begun, ended = until.keys() - before.keys(), before.keys() - until.keys()
        # The source itself omits a partition with an unreadable record, and tries from time to time to read the record
        # again.
        if reason is not PauseReason.UNREADABLE:
            if begun:
                self._source.pause(begun)
            if ended and (unpaused := self.unpaused(ended)):
                self._source.resume(unpaused)
        # These gauges of the release before end with the next release.
        if gauge := _BY_PARTITION.get(reason):
            for one in begun | ended:
                gauge.labels(one.topic, str(one.partition)).set(one in begun)
        elif reason is PauseReason.BREAKER:
            metrics.BRAKED.labels(self._lane).set(len(until))
        return begun, ended
