"""The way of an event from the send to the visible row, in stages, from the notes of sender, worker and watcher."""

import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

STAGES: Final = ("acknowledged", "fetched", "taken by a lane", "processed", "committed", "seen")
"""What happens to an event after it is produced, in this order.

Two of them can overtake: a consumer may have an event before its producer has read the acknowledgement, and another
connection may see the row before the worker has read the answer to its commit.
"""

Place = tuple[str, int]
"""Topic and partition."""


class Sent(NamedTuple):
    """An event of the load. Times are of the machine's monotonic clock, which all its processes share."""

    produced: float
    acknowledged: float
    partition: int
    offset: int


class Visible(NamedTuple):
    """When another connection saw the stored offset of a partition, and with it all rows before it."""

    at: float
    offset: int


class _Log:
    """What happened to the records of a partition, by their offsets."""

    def __init__(self) -> None:
        self._entries: list[tuple[int, tuple[float, ...]]] = []

    def add(self, first: int, *times: float) -> None:
        self._entries.append((first, times))

    def sort(self) -> None:
        self._entries.sort()

    def last(self, offset: int) -> tuple[float, ...]:
        """Return the times of the last entry that begins at this offset or before it."""
        return self._entries[bisect_right(self._entries, offset, key=lambda one: one[0]) - 1][1]


class Notes:
    """The notes of `timed_worker`."""

    def __init__(self, path: Path, topic: str) -> None:
        found: dict[str, list[list[Any]]] = json.loads(path.read_text())
        self._logs: dict[str, dict[int, _Log]] = {}
        for name, entries in found.items():
            logs = self._logs[name] = defaultdict(_Log)
            for its_topic, partition, first, *rest in entries:
                if its_topic == topic:
                    # A fetch has no end: what it returns is known when it is taken.
                    logs[partition].add(first, *(rest if name == "fetched" else rest[1:]))
            for log in logs.values():
                log.sort()

    def of(self, sent: Sent) -> tuple[float, float, float, float]:
        """Return when the event was fetched, taken, processed and committed."""
        fetched, taken, settled = (
            self._logs[name][sent.partition].last(sent.offset) for name in ("fetched", "taken", "settled")
        )
        return (*fetched, *taken, *settled)  # type: ignore[return-value]  # one, one and two times


def visible_at(sent: Sent, seen: Mapping[int, Sequence[Visible]]) -> float:
    """Return when the event was visible; raises IndexError if it never was."""
    moments = seen[sent.partition]
    return moments[bisect_right(moments, sent.offset, key=lambda one: one.offset)].at


def milliseconds(
    load: Sequence[Sent], seen: Mapping[int, Sequence[Visible]], notes: Notes
) -> dict[str, tuple[list[float], list[float]]]:
    """Return for each stage the milliseconds that it took, and those since the event was produced, both sorted."""
    took: dict[str, list[float]] = {stage: [] for stage in STAGES}
    since: dict[str, list[float]] = {stage: [] for stage in STAGES}
    for one in load:
        before = one.produced
        for stage, at in zip(STAGES, (one.acknowledged, *notes.of(one), visible_at(one, seen)), strict=True):
            took[stage].append((at - before) * 1000)
            since[stage].append((at - one.produced) * 1000)
            before = at
    return {stage: (sorted(took[stage]), sorted(since[stage])) for stage in STAGES}
