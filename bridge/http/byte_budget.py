"""Byte budget: what a process holds of all requests together, with a limit for all and a share for each sender."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final, Self

from bridge.http.problems import Code, Problem

Shares = tuple[tuple[Hashable, float], ...]
"""Names that a request counts for, with each name's share of the total: the sender first, the widest last."""

GAVE_WAY: Final = "another sender, which uses less, needs the space: send the body without pauses"
# Where several senders share a name, a sender with more than a little of it can't take its last quarter.
_FOR_ALL: Final = 3 / 4
_LITTLE: Final = 1 / 32


class ByteBudget:
    """At most `most` of `what` (bytes or requests) are held at the same time; no share is less than `least`.

    It counts what has arrived, not what is announced. A request beyond the limit is refused instead of waiting in
    memory. If a share is full of requests that wait for their clients, the sender that holds most of it gives way to a
    sender that holds less. The last quarter of a shared name is reserved for senders that hold next to nothing of it.
    """

    def __init__(self, what: str, most: int, least: int) -> None:
        self._what = what
        self._most = most
        self._least = least
        self._held: dict[Hashable, int] = {}
        # Requests that wait for their clients, by each name they count for and by sender; None names the total.
        self._waiting: dict[Hashable, dict[Hashable, OrderedDict[Held, None]]] = {}
        self.taken = 0

    def holding(self, shares: Shares = (), size: int = 0) -> "Held":
        """Count `size` and what is added while the block runs; entering raises Problem if the budget is exhausted."""
        return Held(self, shares, size)

    def take(self, shares: Shares, size: int) -> None:
        """Count `size` more; raises Problem, and counts nothing, if the budget is exhausted."""
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
        """Count `size` less."""
        self.taken -= size
        held = self._held
        for name, _ in shares:
            left = held[name] - size
            if left:
                held[name] = left
            else:
                del held[name]

    def wait(self, one: "Held", shares: Shares) -> None:
        """Let other senders have what this request holds, as it waits for its client."""
        sender = shares[0][0]
        for name in (*(name for name, _ in shares), None):
            self._waiting.setdefault(name, {}).setdefault(sender, OrderedDict())[one] = None

    def work(self, one: "Held", shares: Shares) -> None:
        """End the request's wait for its client."""
        sender = shares[0][0]
        for name in (*(name for name, _ in shares), None):
            senders = self._waiting[name]
            del senders[sender][one]
            if not senders[sender]:
                del senders[sender]
            if not senders:
                del self._waiting[name]

    def _make_room(self, name: Hashable, share: float, shares: Shares, size: int) -> None:
        """Free budget for `size` more under the name, or raise Problem."""
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
        """End the longest waiting request of the largest waiting sender under the name; returns whether there was one.

        Only a sender that holds more than `own` gives way.
        """
        senders = self._waiting.get(name)
        if not senders:
            return False
        largest = max(senders, key=lambda sender: self._held.get(sender, 0))
        if self._held.get(largest, 0) <= own:
            return False
        next(iter(senders[largest])).give_way()
        return True


class Held:
    """The share of one request. A class, because a generator-based context manager costs more than the counting."""

    __slots__ = ("_budget", "_end", "_shares", "gave_way", "size")

    def __init__(self, budget: ByteBudget, shares: Shares, size: int) -> None:
        self._budget = budget
        self._shares = shares
        self._end: Callable[[], object] | None = None
        self.size = size
        self.gave_way = False

    def grow_to(self, size: int) -> None:
        """Count the bytes missing to `size`; raises Problem if none are left, or another sender got its share."""
        if size > self.size:
            if self.gave_way:
                raise Problem(Code.BODY_TIMEOUT, GAVE_WAY)
            self._budget.take(self._shares, size - self.size)
            self.size = size

    def waits(self, end: Callable[[], object]) -> None:
        """Mark the request as waiting for its client until `works`.

        The budget may give its share to another sender meanwhile, and then calls `end`.
        """
        if self.size and self._shares:
            if self._end is None:
                self._budget.wait(self, self._shares)
            self._end = end

    def works(self) -> None:
        """Mark the request as no longer waiting for its client."""
        if self._end is not None:
            self._end = None
            self._budget.work(self, self._shares)

    def give_way(self) -> None:
        """Return what it holds, and end the request."""
        end = self._end
        self.gave_way = True
        self.__exit__()
        self.size = 0
        if end is not None:
            end()

    def __enter__(self) -> Self:
        if self.size:
            self._budget.take(self._shares, self.size)
        return self

    def __exit__(self, *_: object) -> None:
        self.works()
        if self.size:
            self._budget.give_back(self._shares, self.size)
