"""Lag: for how long each partition's oldest uncommitted record has waited.

The lag is computed from repeated observations of the log's end offset.
"""

from bisect import bisect_right
from collections.abc import Mapping
from typing import Final, NamedTuple

from schemas.pipeline.record import TopicPartition

MOST_SIGHTS: Final = 1000


class Head(NamedTuple):
    """The first record of a batch: its offset, and its time in milliseconds since the epoch.

    `prev` is the offset at which the batch begins. It may be less than the record's offset.
    """

    prev: int
    offset: int
    timestamp_ms: int


class Lag:
    """The times at which this process has observed each log's end offset, from which it computes the lag.

    A record was appended between two observations. The last observation before that has an end offset at or before the
    record, and the first one after that has an end offset behind the record. Both times are by the process's monotonic
    clock. Therefore the lag is exact to the interval between observations, regardless of the broker's clock, and of how
    long nothing was read. Once the record has been read, its timestamp makes the lag exact to the millisecond. For
    records older than the first observation, the timestamp is the only source.
    """

    def __init__(self) -> None:
        self._seen: dict[TopicPartition, tuple[list[int], list[float]]] = {}

    def see(self, ends: Mapping[TopicPartition, int], now: float) -> None:
        """Record the current end offsets of logs. `now` is in seconds of the monotonic clock.

        Logs that are not in `ends` are forgotten.
        """
        for source in self._seen.keys() - ends.keys():
            del self._seen[source]
        for source, end in ends.items():
            known, moments = self._seen.setdefault(source, ([], []))
            while known and known[-1] > end:
                # The log was recreated, or a replica answered that has not received all records yet.
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
        """Return the number of offsets from `settled` (the offset after the last commit) to the log's end.

        Returns None if the log's end was never observed.
        """
        known, _ = self._seen.get(source, ([], []))
        return max(0, known[-1] - settled) if known else None

    def seconds(self, source: TopicPartition, settled: int, head: Head | None, now: float, now_ms: int) -> float | None:
        """Return how long the oldest uncommitted record, the one at offset `settled`, has waited, in seconds.

        0 if the log has no such record yet; None if the log's end was never observed.
        """
        known, moments = self._seen.get(source, ([], []))
        if not known:
            return None
        first_behind = bisect_right(known, settled)
        if first_behind == len(known):
            return 0.0
        youngest = now - moments[first_behind]
        oldest = now - moments[first_behind - 1] if first_behind else None
        # Observations before these are not needed any more.
        if first_behind > 1:
            del known[: first_behind - 1], moments[: first_behind - 1]
        if head is not None and head.prev <= settled <= head.offset:
            seconds = max(youngest, (now_ms - head.timestamp_ms) / 1000)
            return seconds if oldest is None else min(seconds, oldest)
        return youngest if oldest is None else oldest
