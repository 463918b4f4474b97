"""Queues of senders that take turns, on each level of what the senders have in common."""

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

Item = TypeVar("Item")
Path = tuple[Hashable, ...]
"""The sender of a waiting item, the widest name first: sender class, organisation or address, script."""


class Turns(Generic[Item]):
    """Waiting items by sender. On each level the names take turns, regardless of the number of names below them.

    Scripts cost nothing to name, and an address or organisation gets no more turns by naming several.
    """

    def __init__(self) -> None:
        self._root: Final = _Level[Item]()

    def __bool__(self) -> bool:
        return bool(self._root.names)

    def of(self, sender: Path) -> deque[Item]:
        """Return the sender's queue, to which an item is added."""
        level = self._root
        for name in sender:
            below = level.names.get(name)
            if below is None:
                below = level.names[name] = _Level()
            level = below
        return level.items

    def first(self) -> tuple[Path, deque[Item]]:
        """Return the sender whose turn it is, and its queue."""
        sender: list[Hashable] = []
        level = self._root
        while level.names:
            name, level = next(iter(level.names.items()))
            sender.append(name)
        return tuple(sender), level.items

    def end(self, sender: Path) -> None:
        """Move the sender behind the others on each level, and remove it if it has no items."""
        path = [self._root]
        for name in sender:
            level = path[-1].names.get(name)
            if level is None:
                break
            path.append(level)
        for above, name, level in reversed(list(zip(path, sender, path[1:], strict=False))):
            if level.names or level.items:
                above.names.move_to_end(name)
            else:
                del above.names[name]


class _Level(Generic[Item]):
    """The names on one level, the next turn first; the level of a sender itself has its items instead."""

    __slots__ = ("items", "names")

    def __init__(self) -> None:
        self.names: OrderedDict[Hashable, _Level[Item]] = OrderedDict()
        self.items: deque[Item] = deque()
