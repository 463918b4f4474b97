"""What a process holds of all requests together: a bound for all, and shares within it for each sender."""

from collections.abc import Hashable
from typing import Self

from bridge.http.problems import Code, Problem

Shares = tuple[tuple[Hashable, float], ...]
"""Names that a request counts for, and the share of all that each name may hold."""


class Room:
    """At most `most` of `what`, bytes or requests, are held at once; no share is less than `least`.

    It counts what is there, never what is announced. A request beyond is refused instead of waiting in memory.
    """

    def __init__(self, what: str, most: int, least: int) -> None:
        self._what = what
        self._most = most
        self._least = least
        self._held: dict[Hashable, int] = {}
        self.taken = 0

    def holding(self, shares: Shares = (), size: int = 0) -> "Held":
        """Counts so much, and what is added, while its block runs; entering raises Problem where there is no room."""
        return Held(self, shares, size)

    def take(self, shares: Shares, size: int) -> None:
        """Counts so much more; raises Problem, and counts nothing, where there is no room."""
        if self.taken + size > self._most:
            raise Problem(Code.OVERLOADED, f"too many {self._what} of all senders are in flight")
        held = self._held
        for name, share in shares:
            if held.get(name, 0) + size > max(self._most * share, self._least):
                raise Problem(Code.RATE_LIMITED, f"too many {self._what} of this sender are in flight")
        self.taken += size
        for name, _ in shares:
            held[name] = held.get(name, 0) + size

    def give_back(self, shares: Shares, size: int) -> None:
        """Counts so much less."""
        self.taken -= size
        held = self._held
        for name, _ in shares:
            left = held[name] - size
            if left:
                held[name] = left
            else:
                del held[name]


class Held:
    """What one request holds. A generator's context would cost more than all that it guards."""

    __slots__ = ("_room", "_shares", "size")

    def __init__(self, room: Room, shares: Shares, size: int) -> None:
        self._room = room
        self._shares = shares
        self.size = size

    def reach(self, size: int) -> None:
        """Counts as much as is lacking to so much; raises Problem where there is no room."""
        if size > self.size:
            self._room.take(self._shares, size - self.size)
            self.size = size

    def __enter__(self) -> Self:
        if self.size:
            self._room.take(self._shares, self.size)
        return self

    def __exit__(self, *_: object) -> None:
        if self.size:
            self._room.give_back(self._shares, self.size)
