"""Connections of a process: a limit for all, a share for each address, and a choice of those to close for another."""

from collections import Counter, OrderedDict
from typing import Protocol

from bridge.http.problems import Code

_MOST_TURNED_AWAY = 128


class Connection(Protocol):
    """One connection, as the table sees it."""

    def give_way(self) -> None:
        """Close the connection, which waits for its client."""


class Connections:
    """At most `most` connections, and `most_of_one` of each address; 0 is no limit for an address.

    A connection that waits for its client, to send a complete request or to read an answer, gives way to a new one. The
    one that has waited for longest is closed, of the same address if the address has used its share. A new connection
    is refused only if no connection waits.
    """

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._addresses: dict[Connection, str] = {}
        self._held: Counter[str] = Counter()
        self._waiting: OrderedDict[Connection, None] = OrderedDict()
        self._waiting_of: dict[str, OrderedDict[Connection, None]] = {}
        self._turned_away: set[Connection] = set()

    def enter(self, connection: Connection, address: str) -> Code | None:
        """Count a new connection, which waits for a request; returns the code of its refusal, or None."""
        if address and self._most_of_one and self._held[address] >= self._most_of_one:
            if not self._closed_one(self._waiting_of.get(address)):
                return Code.RATE_LIMITED
        elif len(self._addresses) >= self._most and not self._closed_one(self._waiting):
            return Code.OVERLOADED
        self._addresses[connection] = address
        self._held[address] += 1
        self._waiting_of.setdefault(address, OrderedDict())
        self.waits(connection)
        return None

    def hears_why(self, connection: Connection) -> bool:
        """Return whether a refused connection stays open until its client has read the refusal; only so many do."""
        if len(self._turned_away) >= _MOST_TURNED_AWAY:
            return False
        self._turned_away.add(connection)
        return True

    def waits(self, connection: Connection) -> None:
        """Mark the connection as waiting for its client."""
        address = self._addresses.get(connection)
        if address is not None:
            self._waiting[connection] = self._waiting_of[address][connection] = None

    def works(self, connection: Connection) -> None:
        """Mark the connection as having a request in flight."""
        if connection in self._waiting:
            del self._waiting[connection]
            del self._waiting_of[self._addresses[connection]][connection]

    def leave(self, connection: Connection) -> None:
        """Remove the connection; further calls have no effect."""
        self._turned_away.discard(connection)
        self.works(connection)
        address = self._addresses.pop(connection, None)
        if address is not None:
            self._held[address] -= 1
            if not self._held[address]:
                del self._held[address], self._waiting_of[address]

    def _closed_one(self, waiting: "OrderedDict[Connection, None] | None") -> bool:
        """Close the one that has waited longest; returns whether there was one."""
        if not waiting:
            return False
        longest = next(iter(waiting))
        self.leave(longest)
        longest.give_way()
        return True
