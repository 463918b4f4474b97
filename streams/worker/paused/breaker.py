"""Partitions that the circuit breaker holds, each at its first would-be dead letter, and their probes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import structlog

from schemas.errors import BreakerOpen
from schemas.pipeline.breaker import BreakerState
from schemas.pipeline.outcome import Outcomes
from schemas.pipeline.pause import PauseReason
from schemas.pipeline.record import Batch, TopicPartition
from streams.rules.breaker import ProbeSample
from streams.source.kafka import Source
from streams.worker.paused.pauses import Pauses

LOOK_SECONDS: Final = 1.0
"""The longest delay, in seconds, until a lane reads that the breaker was reset by another process."""
_PEEK_RECORDS: Final = 500
_PEEK_MS: Final = 200
_AT_ONCE: Final = 4
"""The most held partitions that one look reads: meanwhile the lane reads no other."""

log = structlog.get_logger(__name__)


class BreakerPause:
    """One lane's part in the circuit breaker. All times are in seconds of the lane's monotonic clock.

    A held partition is resumed when the breaker is closed, and every `probe_seconds` as a probe while it is open. The
    head of a partition is no fair sample, since a sender whose events fail there often sends many of them. So at each
    look a probe continues with the records behind the head, a few from some partitions at a time, until its sample is
    large enough or the next probe begins.
    """

    def __init__(self, lane: str, pauses: Pauses, probe_seconds: float) -> None:
        self._lane = lane
        self._pauses = pauses
        self._probe_seconds = probe_seconds
        self._held: dict[TopicPartition, int] = {}
        self._logged: dict[TopicPartition, int] = {}
        self._probed: set[TopicPartition] = set()
        self._seen: dict[TopicPartition, int] = {}
        self._ended: set[TopicPartition] = set()
        self._probing = False
        self._noted = False
        self.sample = ProbeSample()
        self._probe_at = 0.0
        self._look_at = 0.0

    def begin(self, sources: Iterable[TopicPartition], state: BreakerState) -> None:
        """Forget the held partitions; the owner of the partition that tripped the breaker probes it immediately."""
        self._held.clear()
        self._seen.clear()
        # Compared, not hashed: a worker's account may have written a value of any type there.
        cause = (state.details.get("topic"), state.details.get("partition"))
        self._begin_probe({one for one in sources if (one.topic, one.partition) == cause} if state.engaged else set())
        self._probe_at = 0.0
        self._hold()

    def keep(self, first: Mapping[TopicPartition, int], now: float, why: BreakerOpen) -> None:
        """Hold each partition at the offset of its first would-be dead letter, and log each new offset."""
        if not self._held:
            self._look_at = now + LOOK_SECONDS
            self._probe_at = now + self._probe_seconds
        self._held.update(first)
        self._hold()
        for source, offset in first.items():
            # A probe that fails holds the same offset again each time.
            if self._logged.get(source) != offset:
                self._logged[source] = offset
                log.warning(
                    "partition_paused_breaker_open", lane=self._lane, topic=source.topic, partition=source.partition, offset=offset,
                    reason=str(why),
                )  # fmt: skip

    def forget(self, sources: Iterable[TopicPartition]) -> None:
        """Release partitions that an operator has paused."""
        for source in sources:
            self._held.pop(source, None)
        self._hold()

    def to_look(self, now: float) -> bool:
        """Return whether the breaker's state is due to be read."""
        return bool(self._held) and now >= self._look_at

    def looked(self, state: BreakerState, now: float) -> None:
        """Resume the held partitions if the breaker's current state lets them be read."""
        self._look_at = now + LOOK_SECONDS
        if state.engaged and now < self._probe_at:
            return
        freed = set(self._held)
        self._held.clear()
        self._hold()
        self._begin_probe(freed if state.engaged else set())

    def probes(self, batch: Batch) -> bool:
        """Return whether this batch is part of a probe."""
        return batch.source in self._probed

    def _begin_probe(self, sources: set[TopicPartition]) -> None:
        self._probed, self._probing, self._noted = sources, bool(sources), False
        self.sample = ProbeSample()
        # A partition that was read to its end is probed from its head again, since the fault may have been fixed.
        for source in self._ended:
            self._seen.pop(source, None)
        self._ended.clear()

    def saw_the_end(self, sources: Iterable[TopicPartition]) -> None:
        """Record that the probe has read these partitions to their ends."""
        self._ended.update(sources)

    def saw(self, batches: Iterable[Batch]) -> bool:
        """Record how far the probe has read; return whether these are its first batches."""
        for batch in batches:
            self._probed.discard(batch.source)
            self._seen[batch.source] = max(self._seen.get(batch.source, 0), batch.next)
        first, self._noted = not self._noted, True
        return first

    def to_look_behind(self, state: BreakerState) -> bool:
        """Return whether to probe behind the heads; immediately if visitors alone may have tripped the breaker."""
        return bool(self._held) and not state.by_hand and (self._probing or state.by_visitors_alone)

    def end_probe(self) -> None:
        """End the probe after it has reset the breaker; held partitions are due immediately."""
        self._begin_probe(set())
        self._look_at = 0.0

    def unseen(self) -> dict[TopicPartition, int]:
        """Return some held partitions, with the offset up to which the probe has read; least recently read first."""
        some = {
            source: max(offset, self._seen.pop(source, offset)) for source, offset in [*self._held.items()][:_AT_ONCE]
        }
        for source, offset in some.items():
            # Moved to the end of the queue.
            self._held[source], self._seen[source] = self._held.pop(source), offset
        return some

    @property
    def positions(self) -> Mapping[TopicPartition, int]:
        """The offset at which each held partition continues."""
        return self._held

    def _hold(self) -> None:
        self._pauses.replace(PauseReason.BREAKER, self._held)


def first_dead_letters(outcomes: Iterable[Outcomes]) -> dict[TopicPartition, int]:
    """Return the offset of each partition's first would-be dead letter; partitions without one are left out."""
    return {
        one.batch.source: min(failure.attempt.record.offset for failure in dead)
        for one in outcomes
        if (dead := one.dead_letters())
    }


def parts_before(batches: Sequence[Batch], first: Mapping[TopicPartition, int]) -> list[Batch]:
    """Return the parts of the batches before the first dead letters, which may be committed."""
    parts = (batch.before(first[batch.source]) if batch.source in first else batch for batch in batches)
    return [part for part in parts if part is not None]


async def peek(
    source: Source, places: Mapping[TopicPartition, int], positions: Mapping[TopicPartition, int]
) -> tuple[list[Batch], list[TopicPartition]]:
    """Return a few records of each of these partitions from these offsets, and the partitions without records there.

    Leaves the partitions paused, at their positions `positions`. Raises the errors of a poll.
    """
    ends = await source.ends(places)
    batches = []
    try:
        for one, offset in places.items():
            if offset < ends[one]:
                source.rewind(one, offset)
                source.resume([one])
                batches += await source.poll([one], timeout_ms=_PEEK_MS, max_records=_PEEK_RECORDS)
    finally:
        source.pause(places)
        for one in places:
            source.rewind(one, positions[one])
    return batches, [one for one, offset in places.items() if offset >= ends[one]]
