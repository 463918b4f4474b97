"""How long a producer's open transaction has held back a log: nobody reads past it, and no lag tells of it."""

from typing import NamedTuple

from schemas.pipeline.record import TopicPartition


class Sight(NamedTuple):
    """Up to where a log may be read, and where it ends; equal unless a transaction is open."""

    stable: int
    end: int


class OpenTransactions:
    """Remembers since when each log's readable part has ended where it ends."""

    def __init__(self) -> None:
        self._since: dict[TopicPartition, tuple[int, float]] = {}

    def seconds(self, source: TopicPartition, sight: Sight, now: float) -> float:
        """For how long the same open transaction has been in the way; `now` is a monotonic clock in seconds."""
        if sight.end <= sight.stable:
            self._since.pop(source, None)
            return 0.0
        stable, since = self._since.get(source, (-1, now))
        if stable != sight.stable:
            # The transaction that was seen has ended, and this is another one.
            since = now
        self._since[source] = (sight.stable, since)
        return now - since

    def forget(self, source: TopicPartition) -> None:
        """The log is not looked at any more."""
        self._since.pop(source, None)
