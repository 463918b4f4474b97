"""How long a producer's open transaction has blocked the reading of a log.

A log can't be read beyond its last stable offset, where the oldest open transaction begins. The lag does not show this.
"""

from typing import NamedTuple

from schemas.pipeline.record import TopicPartition


class Sight(NamedTuple):
    """A log's last stable offset (the end of the part that can be read), and the end of the whole log.

    The two offsets differ while a producer's transaction is open.
    """

    stable: int
    end: int


class OpenTransactions:
    """For each log, since when its last stable offset (the end of the part that can be read) has not moved."""

    def __init__(self) -> None:
        self._since: dict[TopicPartition, tuple[int, float]] = {}

    def seconds(self, source: TopicPartition, sight: Sight, now: float) -> float:
        """Return for how many seconds the same open transaction has blocked the log.

        `now` is in seconds of a monotonic clock.
        """
        if sight.end <= sight.stable:
            self._since.pop(source, None)
            return 0.0
        stable, since = self._since.get(source, (-1, now))
        if stable != sight.stable:
            # The last stable offset has moved: the transaction observed before has ended, and another one is open.
            since = now
        self._since[source] = (sight.stable, since)
        return now - since

    def forget(self, source: TopicPartition) -> None:
        """Forget a log that is no longer read."""
        self._since.pop(source, None)
