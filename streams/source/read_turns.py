"""The order in which a worker's task reads its partitions, so that a backlog in one does not delay the others."""

from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class ReadTurns(Generic[T]):
    """Partitions that had more records than one read could return come after the others in the next read.

    They also take turns with each other.
    """

    def __init__(self) -> None:
        self._filled: list[T] = []

    def groups(self, partitions: Sequence[T]) -> list[list[T]]:
        """Return the partitions in groups, in the order of reading.

        The first group has all partitions without a backlog. Each partition with a backlog is a group of its own.
        """
        late = [one for one in self._filled if one in partitions]
        if not late:
            return [[*partitions]]
        soon = [one for one in partitions if one not in late]
        return [*([soon] if soon else []), *([one] for one in late)]

    def took(self, group: Sequence[T], filled: T | None) -> None:
        """Record that a group of partitions was read.

        `filled` is the partition that had more records than the read returned.

        The group's other partitions have no backlog.
        """
        if self._filled:
            self._filled = [one for one in self._filled if one not in group]
        if filled is not None:
            self._filled.append(filled)
