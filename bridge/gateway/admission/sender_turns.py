"""Queues of senders that take turns, on each level of what the senders have in common."""

from collections import OrderedDict, deque
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

Item = TypeVar("Item")
Path = tuple[Hashable, ...]
"""By whom something waits, the widest name first: class of sender, organisation or address, script."""


class Turns(Generic[Item]):
    """What waits, by sender. On each level the names take turns, however many names one of them has below it.

    So scripts, which cost nothing to name, get an address or an organisation no more turns than one.
    """

    def __init__(self) -> None:
        self._root: Final = _Level[Item]()

    def __bool__(self) -> bool:
        return bool(self._root.names)

    def of(self, sender: Path) -> deque[Item]:
        """The sender's queue, to which something is added."""
        level = self._root
        for name in sender:
            below = level.names.get(name)
            if below is None:
                below = level.names[name] = _Level()
            level = below
        return level.items

    def first(self) -> tuple[Path, deque[Item]]:
        """Whose turn it is, and that sender's queue."""
        sender: list[Hashable] = []
        level = self._root
        while level.names:
            name, level = next(iter(level.names.items()))
            sender.append(name)
        return tuple(sender), level.items

    def end(self, sender: Path) -> None:
        """Puts the sender behind the others on each level, and forgets it if nothing of it waits."""
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
    """The names on one level, those whose turn is next first; a sender's own has its items instead."""

    __slots__ = ("items", "names")

    def __init__(self) -> None:
        self.names: OrderedDict[Hashable, _Level[Item]] = OrderedDict()
        self.items: deque[Item] = deque()
