"""How long a producer's open transaction has blocked a log: it can't be read further, and the lag does not show it."""

from typing import NamedTuple

from schemas.pipeline.record import TopicPartition


class Sight(NamedTuple):
    """The end of a log's readable part, and its end; equal unless a transaction is open."""

    stable: int
    end: int


class OpenTransactions:
    """Stores since when each log's readable part has ended at its current offset."""

    def __init__(self) -> None:
        self._since: dict[TopicPartition, tuple[int, float]] = {}

    def seconds(self, source: TopicPartition, sight: Sight, now: float) -> float:
        """Return how long the same open transaction has blocked the log; `now` is a monotonic clock in seconds."""
        if sight.end <= sight.stable:
            self._since.pop(source, None)
            return 0.0
        stable, since = self._since.get(source, (-1, now))
        if stable != sight.stable:
            # The observed transaction has ended, and another one is open.
            since = now
        self._since[source] = (sight.stable, since)
        return now - since

    def forget(self, source: TopicPartition) -> None:
        """Forget a log that is no longer read."""
        self._since.pop(source, None)
