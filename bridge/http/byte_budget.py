"""What a process holds of all requests together: a bound for all, and shares within it for each sender."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final, Self

from bridge.http.problems import Code, Problem

Shares = tuple[tuple[Hashable, float], ...]
"""Names that a request counts for, and the share of all that each name may hold: the sender's own first, the widest last."""

GAVE_WAY: Final = "another sender, which holds less, needs the room: send the body at once"
# Where several have one share, nobody takes its last quarter who holds more than a little of it.
_FOR_ALL: Final = 3 / 4
_LITTLE: Final = 1 / 32


class Room:
    """At most `most` of `what`, bytes or requests, are held at once; no share is less than `least`.

    It counts what is there, never what is announced. A request beyond is refused instead of waiting in memory. But where
    a share is full of what others wait for their clients with, the one of them that holds most gives way to a sender that
    holds less; and the last quarter of what several share is for those that hold next to nothing of it.
    """

    def __init__(self, what: str, most: int, least: int) -> None:
        self._what = what
        self._most = most
        self._least = least
        self._held: dict[Hashable, int] = {}
        # What waits for its client: by each name it counts for, and by sender; None is the name of all together.
        self._waiting: dict[Hashable, dict[Hashable, OrderedDict[Held, None]]] = {}
        self.taken = 0

    def holding(self, shares: Shares = (), size: int = 0) -> "Held":
        """Counts so much, and what is added, while its block runs; entering raises Problem where there is no room."""
        return Held(self, shares, size)

    def take(self, shares: Shares, size: int) -> None:
        """Counts so much more; raises Problem, and counts nothing, where there is no room."""
        held = self._held
        eased = self._most * _FOR_ALL
        for name, share in shares:
            if held.get(name, 0) + size > eased * share:
                self._make_room(name, share, shares, size)
        if self.taken + size > eased:
            self._make_room(None, 1.0, shares, size)
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

    def wait(self, one: "Held", shares: Shares) -> None:
        """What this request holds may be had by others, as it waits for its client."""
        sender = shares[0][0]
        for name in (*(name for name, _ in shares), None):
            self._waiting.setdefault(name, {}).setdefault(sender, OrderedDict())[one] = None

    def work(self, one: "Held", shares: Shares) -> None:
        """The request waits for its client no more."""
        sender = shares[0][0]
        for name in (*(name for name, _ in shares), None):
            senders = self._waiting[name]
            del senders[sender][one]
            if not senders[sender]:
                del senders[sender]
            if not senders:
                del self._waiting[name]

    def _make_room(self, name: Hashable, share: float, shares: Shares, size: int) -> None:
        """Sees to it that there is room for so much more under the name, or raises Problem."""
        sender = shares[0][0] if shares else None
        most = self._most if name is None else max(self._most * share, self._least)
        own = self._held.get(sender, 0) + size
        bound = most
        if name != sender and own > max(1, most * _LITTLE):
            bound = min(most, max(most * _FOR_ALL, self._least))
        while (self.taken if name is None else self._held.get(name, 0)) + size > bound:
            if self._one_gave_way(name, own):
                continue
            if name is None:
                raise Problem(Code.OVERLOADED, f"too many {self._what} of all senders are in flight")
            raise Problem(Code.RATE_LIMITED, f"too many {self._what} of this sender are in flight")

    def _one_gave_way(self, name: Hashable, own: int) -> bool:
        """Whether the sender that holds most of those that wait under the name held more than that, and gave up its longest."""
        senders = self._waiting.get(name)
        if not senders:
            return False
        largest = max(senders, key=lambda sender: self._held.get(sender, 0))
        if self._held.get(largest, 0) <= own:
            return False
        next(iter(senders[largest])).give_way()
        return True


class Held:
    """What one request holds. A generator's context would cost more than all that it guards."""

    __slots__ = ("_end", "_room", "_shares", "gave_way", "size")

    def __init__(self, room: Room, shares: Shares, size: int) -> None:
        self._room = room
        self._shares = shares
        self._end: Callable[[], object] | None = None
        self.size = size
        self.gave_way = False

    def reach(self, size: int) -> None:
        """Counts as much as is lacking to so much; raises Problem where there is no room, or it was given to another."""
        if size > self.size:
            if self.gave_way:
                raise Problem(Code.BODY_TIMEOUT, GAVE_WAY)
            self._room.take(self._shares, size - self.size)
            self.size = size

    def waits(self, end: Callable[[], object]) -> None:
        """The request waits for its client until `works`; the room may call `end` meanwhile, and has then given it to another."""
        if self.size and self._shares:
            if self._end is None:
                self._room.wait(self, self._shares)
            self._end = end

    def works(self) -> None:
        """The request does not wait for its client any more."""
        if self._end is not None:
            self._end = None
            self._room.work(self, self._shares)

    def give_way(self) -> None:
        """Gives back what it holds, and ends the request."""
        end = self._end
        self.gave_way = True
        self.__exit__()
        self.size = 0
        if end is not None:
            end()

    def __enter__(self) -> Self:
        if self.size:
            self._room.take(self._shares, self.size)
        return self

    def __exit__(self, *_: object) -> None:
        self.works()
        if self.size:
            self._room.give_back(self._shares, self.size)
