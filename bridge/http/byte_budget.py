"""Byte budget: limits the memory that all requests of a process occupy together, and gives each sender a share of it.

A request counts for several names, such as its sender, its script and its site. Each name has a share of the total.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final, Self

from bridge.http.problems import Code, Problem

Shares = tuple[tuple[Hashable, float], ...]
"""The names that a request counts for, from its sender to the widest name, each with its share of the total."""

GAVE_WAY: Final = (
    "another sender, which uses less memory, needs this request's memory; send the body again without pauses"
)
# The last quarter of a name is reserved for senders that hold at most a thirty-second of it.
_FOR_ALL: Final = 3 / 4
_LITTLE: Final = 1 / 32


class ByteBudget:
    """A limit on the bytes, or on the number, of the requests in flight. `what` is "bytes" or "requests", for errors.

    All requests together occupy at most `most`. Each name for which a request counts (sender, script, site) has a
    share of `most`, which is at least `least`.

    - A request occupies what has arrived of it, not the length that its headers announce.
    - A request over a limit is refused immediately, so that it does not wait in memory.
    - Before that, the sender that occupies the most gives way to a sender that occupies less: one of its requests that
      wait for their client is ended.
    - The last quarter of each limit is reserved for senders that occupy little.
    """

    def __init__(self, what: str, most: int, least: int) -> None:
        self._what = what
        self._most = most
        self._least = least
        self._held: dict[Hashable, int] = {}
        # Requests that wait for their clients, by name and by sender. The name None is the total.
        self._waiting: dict[Hashable, dict[Hashable, OrderedDict[Held, None]]] = {}
        self.taken = 0

    def holding(self, shares: Shares = (), size: int = 0) -> "Held":
        """Return a context in which a request counts for the names of `shares`, with `size` and what it adds later.

        Entering the context raises Problem if the budget is exhausted.
        """
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
        """Record that a request waits for its client, so that it may be ended in favour of other senders."""
        sender = shares[0][0]
        for name in (*(name for name, _ in shares), None):
            self._waiting.setdefault(name, {}).setdefault(sender, OrderedDict())[one] = None

    def work(self, one: "Held", shares: Shares) -> None:
        """Record that a request no longer waits for its client, so that it is not ended any more."""
        sender = shares[0][0]
        for name in (*(name for name, _ in shares), None):
            senders = self._waiting[name]
            del senders[sender][one]
            if not senders[sender]:
                del senders[sender]
            if not senders:
                del self._waiting[name]

    def _make_room(self, name: Hashable, share: float, shares: Shares, size: int) -> None:
        """Make room for `size` more of the name, by ending requests that wait for their clients.

        Raises Problem if too few requests can be ended. The name None is the total of all senders.
        """
        sender = shares[0][0] if shares else None
        most = self._most if name is None else max(self._most * share, self._least)
        own = self._held.get(sender, 0) + size
        bound = most
        if name != sender and own > max(1, most * _LITTLE):
            bound = min(most, max(most * _FOR_ALL, self._least))
        while (self.taken if name is None else self._held.get(name, 0)) + size > bound:
            if self._one_gave_way(name, own):
                continue
            if name is None and bound == most:
                raise Problem(
                    Code.OVERLOADED, f"too many {self._what} are in flight, of all senders together; try again later"
                )
            raise Problem(
                Code.RATE_LIMITED, f"too many {self._what} of this sender are in flight; wait for their responses"
            )

    def _one_gave_way(self, name: Hashable, own: int) -> bool:
        """End one request of the name that waits for its client; returns whether there was one.

        It is the request that has waited longest of the sender that occupies the most of the budget. A sender that
        occupies no more than `own` loses no request.
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
    """What one request occupies of the byte budget, as a context: its end gives everything back.

    This is a class because a generator-based context manager costs more time than the counting.
    """

    __slots__ = ("_budget", "_end", "_shares", "gave_way", "size")

    def __init__(self, budget: ByteBudget, shares: Shares, size: int) -> None:
        self._budget = budget
        self._shares = shares
        self._end: Callable[[], object] | None = None
        self.size = size
        self.gave_way = False

    def grow_to(self, size: int) -> None:
        """Count the request with `size` instead of its smaller size until now.

        Raises Problem if the budget is exhausted, or if the request was ended in favour of another sender.
        """
        if size > self.size:
            if self.gave_way:
                raise Problem(Code.BODY_TIMEOUT, GAVE_WAY)
            self._budget.take(self._shares, size - self.size)
            self.size = size

    def waits(self, end: Callable[[], object]) -> None:
        """Mark the request as waiting for its client until `works` is called.

        Meanwhile the budget may end the request in favour of another sender. For this the budget calls `end`, which
        must end the request.
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
        """Give back everything that the request occupies, and end the request in favour of another sender."""
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
