"""The most records of a lane's next batch: fewer after a commit that timed out, more again after many that did not."""

from typing import Final

COMMITS_TO_GROW: Final = 1_000
"""After this number of commits the size is doubled. They take seconds where Postgres is quick.

A larger batch that times out again costs a minute, so it is not tried often where Postgres is slow.
"""


class BatchSize:
    """The limit `records`, which is at most `most`."""

    def __init__(self, most: int) -> None:
        self._most = self.records = most
        self._commits = 0

    def halve(self) -> bool:
        """Halve the limit after a time-out; return False if it can't be smaller."""
        self._commits = 0
        before, self.records = self.records, max(1, self.records // 2)
        return self.records < before

    def committed(self) -> None:
        """Note a commit, and double the limit if it is time."""
        self._commits += 1
        if self._commits % COMMITS_TO_GROW == 0:
            self.records = min(self._most, 2 * self.records)
