"""Partitions that the brake holds, each at its first would-be dead letter, and when they are judged again."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import structlog

from schemas.errors import Braked
from schemas.pipeline.breaker import BreakerState
from schemas.pipeline.outcome import Outcomes
from schemas.pipeline.record import Batch, TopicPartition
from streams.rules.breaker import ProbeSample
from streams.source.kafka import Source
from telemetry import metrics

LOOK_SECONDS: Final = 1.0
"""How soon a lane learns that the brake was let go elsewhere."""
_PEEK_RECORDS: Final = 500
_PEEK_MS: Final = 200
_AT_ONCE: Final = 4
"""Held partitions that are looked into at one look: meanwhile the lane reads no other."""

log = structlog.get_logger(__name__)


class BrakeHold:
    """One lane's part in the brake. All times are in seconds of the lane's monotonic clock.

    A held partition is read again when the brake is off, and as a probe every `probe_seconds` while it is on. The head
    of a partition is no fair sample: whoever fails there fails a lot. So a probe goes on at each look with what lies
    behind, a few records of some partitions at a time, until its sample is enough or the next probe begins.
    """

    def __init__(self, lane: str, probe_seconds: float) -> None:
        self._lane = lane
        self._probe_seconds = probe_seconds
        self._held: dict[TopicPartition, int] = {}
        self._told: dict[TopicPartition, int] = {}
        self._probed: set[TopicPartition] = set()
        self._seen: dict[TopicPartition, int] = {}
        self._ended: set[TopicPartition] = set()
        self._probing = False
        self._noted = False
        self.sample = ProbeSample()
        self._probe_at = 0.0
        self._look_at = 0.0

    @property
    def held(self) -> list[TopicPartition]:
        """The partitions that wait."""
        return list(self._held)

    def begin(self, sources: Iterable[TopicPartition], state: BreakerState) -> None:
        """Forgets what was held; whoever owns the partition that the brake went on for probes it at once."""
        self._held.clear()
        self._seen.clear()
        # Compared, not hashed: the account of a worker may have written anything there.
        cause = (state.details.get("topic"), state.details.get("partition"))
        self._begin_probe({one for one in sources if (one.topic, one.partition) == cause} if state.engaged else set())
        self._probe_at = 0.0
        self._show()

    def keep(self, first: Mapping[TopicPartition, int], now: float, why: Braked) -> None:
        """Holds each partition at the offset of its first would-be dead letter, and says so where that is news."""
        if not self._held:
            self._look_at = now + LOOK_SECONDS
            self._probe_at = now + self._probe_seconds
        self._held.update(first)
        self._show()
        for source, offset in first.items():
            # A probe that fails holds the same again, every time.
            if self._told.get(source) != offset:
                self._told[source] = offset
                log.warning(
                    "held_by_brake", lane=self._lane, topic=source.topic, partition=source.partition, offset=offset,
                    reason=str(why),
                )  # fmt: skip

    def forget(self, sources: Iterable[TopicPartition]) -> None:
        """Leaves these partitions to whoever has paused them."""
        for source in sources:
            self._held.pop(source, None)
        self._show()

    def to_look(self, now: float) -> bool:
        """Whether it is time to look at the brake's state."""
        return bool(self._held) and now >= self._look_at

    def looked(self, state: BreakerState, now: float) -> list[TopicPartition]:
        """The partitions that are to be read again, by what the state now is."""
        self._look_at = now + LOOK_SECONDS
        if state.engaged and now < self._probe_at:
            return []
        freed = self.held
        self._held.clear()
        self._show()
        self._begin_probe(set(freed) if state.engaged else set())
        return freed

    def probes(self, batch: Batch) -> bool:
        """Whether this batch is read to learn whether the brake may let go."""
        return batch.source in self._probed

    def _begin_probe(self, sources: set[TopicPartition]) -> None:
        self._probed, self._probing, self._noted = sources, bool(sources), False
        self.sample = ProbeSample()
        # What was seen to its end is seen from its head again: whatever was wrong may be mended.
        for source in self._ended:
            self._seen.pop(source, None)
        self._ended.clear()

    def saw_the_end(self, sources: Iterable[TopicPartition]) -> None:
        """Notes that the probe has nothing left to see of these partitions."""
        self._ended.update(sources)

    def saw(self, batches: Iterable[Batch]) -> bool:
        """Notes how far the probe has seen; whether this is the first that it sees."""
        for batch in batches:
            self._probed.discard(batch.source)
            self._seen[batch.source] = max(self._seen.get(batch.source, 0), batch.next)
        first, self._noted = not self._noted, True
        return first

    def to_look_behind(self, state: BreakerState) -> bool:
        """Whether a probe is to go on behind the heads; at once where visitors may have brought it about."""
        return bool(self._held) and not state.by_hand and (self._probing or state.by_visitors_alone)

    def end_probe(self) -> None:
        """The probe has let the brake go; what is held is looked at without delay."""
        self._begin_probe(set())
        self._look_at = 0.0

    def unseen(self) -> dict[TopicPartition, int]:
        """Some held partitions, and from which offset on the probe has not seen them; those that waited longest."""
        some = {
            source: max(offset, self._seen.pop(source, offset)) for source, offset in [*self._held.items()][:_AT_ONCE]
        }
        for source, offset in some.items():
            # To the end of the line.
            self._held[source], self._seen[source] = self._held.pop(source), offset
        return some

    @property
    def stands(self) -> Mapping[TopicPartition, int]:
        """Where each held partition is to go on."""
        return self._held

    def _show(self) -> None:
        metrics.BRAKED.labels(self._lane).set(len(self._held))


def first_dead_letters(outcomes: Iterable[Outcomes]) -> dict[TopicPartition, int]:
    """The offset of each partition's first record that would be dead-lettered; partitions without one are left out."""
    return {
        one.batch.source: min(failure.record.offset for failure in dead)
        for one in outcomes
        if (dead := one.dead_letters())
    }


def parts_before(batches: Sequence[Batch], first: Mapping[TopicPartition, int]) -> list[Batch]:
    """What of the batches may be settled all the same."""
    parts = (batch.before(first[batch.source]) if batch.source in first else batch for batch in batches)
    return [part for part in parts if part is not None]


async def peek(
    source: Source, places: Mapping[TopicPartition, int], stands: Mapping[TopicPartition, int]
) -> tuple[list[Batch], list[TopicPartition]]:
    """A few records of each of these partitions from these offsets on, and the partitions that have none there.

    Leaves the partitions paused, and where they stand. Raises what a poll raises.
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
            source.rewind(one, stands[one])
    return batches, [one for one, offset in places.items() if offset >= ends[one]]
