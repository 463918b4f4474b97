"""Whose turn it is to be read: a partition with a backlog does not keep the others of its lane waiting."""

from collections.abc import Sequence
from typing import Generic, TypeVar

T = TypeVar("T")


class ReadTurns(Generic[T]):
    """Partitions whose records filled a read come after the others in the next one, and take turns among themselves."""

    def __init__(self) -> None:
        self._filled: list[T] = []

    def groups(self, partitions: Sequence[T]) -> list[list[T]]:
        """These partitions in the order of their turns: those without a backlog together, then each other by itself."""
        late = [one for one in self._filled if one in partitions]
        if not late:
            return [[*partitions]]
        soon = [one for one in partitions if one not in late]
        return [*([soon] if soon else []), *([one] for one in late)]

    def took(self, group: Sequence[T], filled: T | None) -> None:
        """Notes that a group was read, and which of it filled the read; the others of it have no backlog."""
        if self._filled:
            self._filled = [one for one in self._filled if one not in group]
        if filled is not None:
            self._filled.append(filled)
