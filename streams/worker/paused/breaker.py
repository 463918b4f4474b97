"""The partitions that an open circuit breaker pauses, and the probes that decide whether the breaker is reset.

An open breaker means that nothing is dead-lettered. A partition is paused at its head: the first record that would
become a dead letter. A probe processes records of paused partitions, without dead-lettering, as a sample.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import structlog

from schemas.errors import BreakerOpen
from schemas.pipeline.breaker import BreakerState
from schemas.pipeline.outcome import Outcomes
from schemas.pipeline.pause import PauseReason
from schemas.pipeline.record import Batch, TopicPartition
from streams.rules.breaker_counts import no_counts
from streams.source.kafka import Source
from streams.worker.paused.pauses import Pauses

LOOK_SECONDS: Final = 1.0
"""The longest time until a lane notices that another process has reset the breaker, in seconds."""
_PEEK_RECORDS: Final = 500
_PEEK_MS: Final = 200
_AT_ONCE: Final = 4
"""The most paused partitions that one probe step reads. The lane reads no other partition meanwhile."""

log = structlog.get_logger(__name__)


class BreakerPause:
    """The partitions of one lane (a task that reads partitions) that the circuit breaker has paused.

    All times are in seconds of the lane's monotonic clock. The partitions are resumed when the breaker is closed. While
    the breaker is open, they are read every `probe_seconds` as a probe (a test whether events pass again). The record
    at the head of a paused partition, and those next to it, are no fair sample, because a sender whose events fail
    there often sends many of them. A probe therefore continues behind the head: every LOOK_SECONDS it reads a few
    records of some partitions. It ends when the sample is large enough, or when the next probe begins.
    """

    def __init__(self, lane: str, pauses: Pauses, probe_seconds: float) -> None:
        self._lane = lane
        self._pauses = pauses
        self._probe_seconds = probe_seconds
        self.positions: dict[TopicPartition, int] = {}
        """The offset at which each partition that the circuit breaker has paused will be resumed."""
        self._logged: dict[TopicPartition, int] = {}
        self._probed: set[TopicPartition] = set()
        self._seen: dict[TopicPartition, int] = {}
        self._ended: set[TopicPartition] = set()
        self._probing = False
        self._noted = False
        self.sample = no_counts()
        self._probe_at = 0.0
        self._look_at = 0.0

    def begin(self, sources: Iterable[TopicPartition], state: BreakerState) -> None:
        """Forget which partitions the circuit breaker has paused, when the worker's task begins to read again.

        It then begins at the stored offsets. If the breaker is open, the task that has the partition which tripped it
        probes this partition immediately.
        """
        self.positions.clear()
        self._seen.clear()
        # The values are compared, not hashed: a worker's account may have written values of any type.
        cause = (state.details.get("topic"), state.details.get("partition"))
        self._begin_probe({one for one in sources if (one.topic, one.partition) == cause} if state.engaged else set())
        self._probe_at = 0.0
        self._hold()

    def keep(self, first: Mapping[TopicPartition, int], now: float, why: BreakerOpen) -> None:
        """Pause each partition at its first record that would become a dead letter.

        Log the offset if it is a new one.
        """
        if not self.positions:
            self._look_at = now + LOOK_SECONDS
            self._probe_at = now + self._probe_seconds
        self.positions.update(first)
        self._hold()
        for source, offset in first.items():
            # After each failed probe the partition is paused at the same offset again.
            if self._logged.get(source) != offset:
                self._logged[source] = offset
                place = {"lane": self._lane, **source._asdict(), "offset": offset}
                log.warning("partition_paused_breaker_open", **place, reason=str(why))

    def forget(self, sources: Iterable[TopicPartition]) -> None:
        """Stop pausing these partitions for the circuit breaker, because an operator has paused them."""
        for source in sources:
            self.positions.pop(source, None)
        self._hold()

    def to_look(self, now: float) -> bool:
        """Return whether it is time to read the circuit breaker's state from Postgres."""
        return bool(self.positions) and now >= self._look_at

    def looked(self, state: BreakerState, now: float) -> None:
        """Resume the partitions that the circuit breaker has paused if it is closed, or if the next probe is due.

        A probe processes some of their records to test whether events pass again.
        """
        self._look_at = now + LOOK_SECONDS
        if state.engaged and now < self._probe_at:
            return
        freed = set(self.positions)
        self.positions.clear()
        self._hold()
        self._begin_probe(freed if state.engaged else set())

    def probes(self, batch: Batch) -> bool:
        """Return whether this batch is part of a probe, the test whether events pass again."""
        return batch.source in self._probed

    def _begin_probe(self, sources: set[TopicPartition]) -> None:
        self._probed, self._probing, self._noted = sources, bool(sources), False
        self.sample = no_counts()
        # If the probe before has read a partition to its end, the next one begins at the head again: the fault may be
        # fixed.
        for source in self._ended:
            self._seen.pop(source, None)
        self._ended.clear()

    def saw_the_end(self, sources: Iterable[TopicPartition]) -> None:
        """Record that the probe (a test whether events pass again) has read these partitions to their ends."""
        self._ended.update(sources)

    def saw(self, batches: Iterable[Batch]) -> bool:
        """Record how far the probe (a test whether events pass again) has read.

        Returns whether these are the probe's first batches.
        """
        for batch in batches:
            self._probed.discard(batch.source)
            self._seen[batch.source] = max(self._seen.get(batch.source, 0), batch.next)
        first, self._noted = not self._noted, True
        return first

    def to_look_behind(self, state: BreakerState) -> bool:
        """Return whether to read records behind those at which the circuit breaker has paused the partitions.

        That is done during a probe (the test whether events pass again), and always if failures of visitors (anonymous
        senders) alone have tripped the breaker.
        """
        return bool(self.positions) and not state.by_hand and (self._probing or state.by_visitors_alone)

    def end_probe(self) -> None:
        """End the probe (the test whether events pass again) that has reset the circuit breaker.

        The paused partitions are resumed when the breaker's state is read next.
        """
        self._begin_probe(set())
        self._look_at = 0.0

    def unseen(self) -> dict[TopicPartition, int]:
        """Return some partitions that the circuit breaker has paused, each with the offset where the probe continues.

        A probe tests whether events pass again. Partitions that it has not read for the longest time come first.
        """
        some = {
            source: max(offset, self._seen.pop(source, offset))
            for source, offset in [*self.positions.items()][:_AT_ONCE]
        }
        for source, offset in some.items():
            # The partition goes to the end of the queue.
            self.positions[source], self._seen[source] = self.positions.pop(source), offset
        return some

    def _hold(self) -> None:
        self._pauses.replace(PauseReason.BREAKER, self.positions)


def first_dead_letters(outcomes: Iterable[Outcomes]) -> dict[TopicPartition, int]:
    """Return, for each partition that has one, the offset of the first record that would become a dead letter."""
    return {
        one.batch.source: min(failure.attempt.record.offset for failure in dead)
        for one in outcomes
        if (dead := one.dead_letters())
    }


def parts_before(batches: Sequence[Batch], first: Mapping[TopicPartition, int]) -> list[Batch]:
    """Return the parts of the batches that precede each partition's first dead letter at the offset in `first`.

    These parts may be committed while the circuit breaker is open.
    """
    parts = (batch.before(first[batch.source]) if batch.source in first else batch for batch in batches)
    return [part for part in parts if part is not None]


async def peek(
    source: Source, places: Mapping[TopicPartition, int], positions: Mapping[TopicPartition, int]
) -> tuple[list[Batch], list[TopicPartition]]:
    """Return a few records of each partition from the offset in `places`, and the partitions that have no record there.

    The partitions are paused afterwards, with the read positions in `positions`. Raises the errors of a poll.
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
