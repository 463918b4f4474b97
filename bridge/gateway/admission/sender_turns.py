"""Queues of senders that take turns, on each level of a hierarchy such as sender class, organisation, script."""

from collections import OrderedDict, deque
from collections.abc import Hashable, Iterator
from typing import Final, Generic, TypeVar

Item = TypeVar("Item")
Path = tuple[Hashable, ...]
"""A sender, from the widest name to the narrowest: sender class, organisation or address, script."""


class Turns(Generic[Item]):
    """Waiting items, such as requests or records, by sender. Each level of the senders' hierarchy is served in turn.

    A sender is a path of names, such as sender class, organisation, script. On each level the names take turns,
    however many names are below them. So an address or organisation gets no more turns by naming several scripts,
    which a client can invent.
    """

    def __init__(self) -> None:
        self._root: Final = _Level[Item]()

    def __bool__(self) -> bool:
        return bool(self._root.names)

    def of(self, sender: Path) -> deque[Item]:
        """Return the sender's queue, to which the caller adds an item."""
        level = self._root
        for name in sender:
            below = level.names.get(name)
            if below is None:
                below = level.names[name] = _Level()
            level = below
        return level.items

    def first(self) -> tuple[Path, deque[Item]]:
        """Return the sender whose turn it is, and the sender's queue."""
        sender: list[Hashable] = []
        level = self._root
        while level.names:
            name, level = next(iter(level.names.items()))
            sender.append(name)
        return tuple(sender), level.items

    def waiting_of(self, names: Path) -> Iterator[Item]:
        """Yield the waiting items of each sender whose path begins with `names`."""
        level = self._at(names)
        return iter(()) if level is None else level.all()

    def worked(self, names: Path, until: float) -> None:
        """Note that a sender whose path begins with `names` had a turn until that time, if such senders wait."""
        if (level := self._at(names)) is not None:
            level.worked_until = until

    def worked_until(self, names: Path) -> float:
        """Return when the last turn of the senders whose path begins with `names` ended while one waits; 0 if none."""
        level = self._at(names)
        return 0.0 if level is None else level.worked_until

    def end(self, sender: Path) -> None:
        """End the sender's turn: put it last, behind those that wait, or remove it if it has no items left."""
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

    def _at(self, names: Path) -> "_Level[Item] | None":
        level: _Level[Item] | None = self._root
        for name in names:
            level = level and level.names.get(name)
        return level


class _Level(Generic[Item]):
    """The names on one level, in the order of their turns. On the lowest level: the waiting items of one sender."""

    __slots__ = ("items", "names", "worked_until")

    def __init__(self) -> None:
        self.names: OrderedDict[Hashable, _Level[Item]] = OrderedDict()
        self.items: deque[Item] = deque()
        self.worked_until = 0.0

    def all(self) -> Iterator[Item]:
        yield from self.items
        for below in self.names.values():
            yield from below.all()
