"""Partitions that the brake holds, each at its first would-be dead letter, and when they are judged again."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import structlog

from schemas.brake import BrakeState
from schemas.errors import Braked
from schemas.outcome import Outcomes
from schemas.record import Batch, TopicPartition
from sinks import metrics

LOOK_SECONDS: Final = 1.0
"""How soon a lane learns that the brake was let go elsewhere."""

log = structlog.get_logger(__name__)


class BrakeHold:
    """One lane's part in the brake. All times are in seconds of the lane's monotonic clock.

    A held partition is read again when the brake is off, and as a probe every `probe_seconds` while it is on.
    """

    def __init__(self, lane: str, probe_seconds: float) -> None:
        self._lane = lane
        self._probe_seconds = probe_seconds
        self._held: dict[TopicPartition, int] = {}
        self._told: dict[TopicPartition, int] = {}
        self._probed: set[TopicPartition] = set()
        self._probe_at = 0.0
        self._look_at = 0.0

    @property
    def held(self) -> list[TopicPartition]:
        """The partitions that wait."""
        return list(self._held)

    def begin(self, sources: Iterable[TopicPartition], state: BrakeState) -> None:
        """Forgets what was held; whoever owns the partition that the brake went on for probes it at once."""
        self._held.clear()
        details = state.details
        cause = TopicPartition(details.get("topic", ""), details.get("partition", 0))
        self._probed = {cause} & set(sources) if state.engaged else set()
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

    def to_look(self, now: float) -> bool:
        """Whether it is time to look at the brake's state."""
        return bool(self._held) and now >= self._look_at

    def looked(self, state: BrakeState, now: float) -> list[TopicPartition]:
        """The partitions that are to be read again, by what the state now is."""
        self._look_at = now + LOOK_SECONDS
        if state.engaged and now < self._probe_at:
            return []
        freed = self.held
        self._held.clear()
        self._show()
        self._probed = set(freed) if state.engaged else set()
        return freed

    def probes(self, batch: Batch) -> bool:
        """Whether this batch is read to learn whether the brake may let go."""
        return batch.source in self._probed

    def end_probe(self) -> None:
        """The probe has its answer."""
        self._probed = set()

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
