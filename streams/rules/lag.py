"""How long each partition's oldest unsettled record has waited, told from where its log ended at which time."""

from bisect import bisect_right
from collections.abc import Mapping
from typing import Final, NamedTuple

from schemas.pipeline.record import TopicPartition

MOST_SIGHTS: Final = 1000


class Head(NamedTuple):
    """The first record of a batch that continues from `prev`: its offset, and its time in milliseconds since the epoch."""

    prev: int
    offset: int
    timestamp_ms: int


class Lag:
    """Remembers when each log was seen to end where.

    A record was appended after the last sight of an end at or before it, and before the first sight of one behind it:
    two moments of our own monotonic clock. So the figure is right to within the time between two sights, whatever the
    broker's clock says and however long nothing has been read. The record's own time, once it was read, tells it to the
    millisecond, and alone tells the age of what was there before the first sight.
    """

    def __init__(self) -> None:
        self._moments: dict[TopicPartition, list[float]] = {}
        self._ends: dict[TopicPartition, list[int]] = {}

    def see(self, ends: Mapping[TopicPartition, int], now: float) -> None:
        """Notes where these logs end, `now` in seconds of the monotonic clock; others are forgotten."""
        for source in self._ends.keys() - ends.keys():
            del self._ends[source], self._moments[source]
        for source, end in ends.items():
            known, moments = self._ends.setdefault(source, []), self._moments.setdefault(source, [])
            while known and known[-1] > end:
                # The log was made anew, or the answer came from a replica that is behind.
                known.pop()
                moments.pop()
            if known and known[-1] == end:
                moments[-1] = now
            else:
                known.append(end)
                moments.append(now)
            if len(known) > MOST_SIGHTS:
                del known[1:-1:2], moments[1:-1:2]

    def records(self, source: TopicPartition, settled: int) -> int | None:
        """How many offsets lie between what is settled and the log's end; None if its end was never seen."""
        known = self._ends.get(source)
        return None if not known else max(0, known[-1] - settled)

    def seconds(self, source: TopicPartition, settled: int, head: Head | None, now: float, now_ms: int) -> float | None:
        """The age of the record at `settled`, in seconds; 0 if there is none, None if the log's end was never seen."""
        known, moments = self._ends.get(source), self._moments.get(source)
        if not known or not moments:
            return None
        first_behind = bisect_right(known, settled)
        if first_behind == len(known):
            return 0.0
        youngest = now - moments[first_behind]
        oldest = now - moments[first_behind - 1] if first_behind else None
        # Nothing before it is asked for again.
        if first_behind > 1:
            del known[: first_behind - 1], moments[: first_behind - 1]
        if head is not None and head.prev <= settled <= head.offset:
            told = max(youngest, (now_ms - head.timestamp_ms) / 1000)
            return told if oldest is None else min(told, oldest)
        return youngest if oldest is None else oldest
