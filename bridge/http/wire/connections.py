"""The connections of a process: a limit for all, and a share for each address.

At a limit, a connection that waits for its client is closed in favour of a new one.
"""

from collections import Counter, OrderedDict
from typing import Protocol

from bridge.http.problems import Code

_MOST_TURNED_AWAY = 128


class Connection(Protocol):
    """The interface of a connection that `Connections` counts and may close."""

    def give_way(self) -> None:
        """Close the connection, which waits for its client, in favour of another."""


class Connections:
    """Limits connections: at most `most`, and `most_of_one` of each client address; 0 means no limit for an address.

    A connection waits for its client until a request is complete, and while the client reads a response. At a limit,
    the connection that has waited longest is closed: one of the same address if the address has used its share, or else
    one of the address with the most waiting connections. So an address can't displace the connections of others by
    opening many. If no connection waits, the new one is refused.
    """

    def __init__(self, most: int, most_of_one: int) -> None:
        self._most = most
        self._most_of_one = most_of_one
        self._addresses: dict[Connection, str] = {}
        self._held: Counter[str] = Counter()
        self._waiting_of: dict[str, OrderedDict[Connection, None]] = {}
        self._by_count: list[OrderedDict[str, None]] = [OrderedDict()]
        """Addresses by the number of their waiting connections, up to the largest number."""
        self._turned_away: set[Connection] = set()

    def enter(self, connection: Connection, address: str) -> Code | None:
        """Count a new connection, which waits for a request.

        Returns None, or the error code if the connection is refused.
        """
        if address and self._most_of_one and self._held[address] >= self._most_of_one:
            if not self._closed_one(self._waiting_of.get(address)):
                return Code.RATE_LIMITED
        elif len(self._addresses) >= self._most and not self._closed_one(self._most_waiting()):
            return Code.OVERLOADED
        self._addresses[connection] = address
        self._held[address] += 1
        self._waiting_of.setdefault(address, OrderedDict())
        self.waits(connection)
        return None

    def hears_why(self, connection: Connection) -> bool:
        """Return whether a refused connection may stay open until its client has read the refusal: at most 128 may."""
        if len(self._turned_away) >= _MOST_TURNED_AWAY:
            return False
        self._turned_away.add(connection)
        return True

    def waits(self, connection: Connection) -> None:
        """Mark the connection as waiting for its client."""
        address = self._addresses.get(connection)
        if address is not None:
            waiting = self._waiting_of[address]
            before = len(waiting)
            waiting[connection] = None
            self._count(address, before, len(waiting))

    def works(self, connection: Connection) -> None:
        """Mark the connection as having a request in flight."""
        address = self._addresses.get(connection)
        if address is not None:
            waiting = self._waiting_of[address]
            before = len(waiting)
            waiting.pop(connection, None)
            self._count(address, before, len(waiting))

    def leave(self, connection: Connection) -> None:
        """Remove the connection; further calls have no effect."""
        self._turned_away.discard(connection)
        self.works(connection)
        address = self._addresses.pop(connection, None)
        if address is not None:
            self._held[address] -= 1
            if not self._held[address]:
                del self._held[address], self._waiting_of[address]

    def _count(self, address: str, before: int, after: int) -> None:
        """Record that an address has `after` waiting connections instead of `before`; they differ by at most one."""
        if before == after:
            return
        by_count = self._by_count
        if before:
            del by_count[before][address]
        if after == len(by_count):
            by_count.append(OrderedDict())
        if after:
            by_count[after][address] = None
        if len(by_count) > 1 and not by_count[-1]:
            by_count.pop()

    def _most_waiting(self) -> "OrderedDict[Connection, None] | None":
        """Return the connections that wait for their client, of the address that has the most such connections."""
        addresses = self._by_count[-1]
        return self._waiting_of[next(iter(addresses))] if addresses else None

    def _closed_one(self, waiting: "OrderedDict[Connection, None] | None") -> bool:
        """Close the connection that has waited for its client longest; returns whether any waits."""
        if not waiting:
            return False
        longest = next(iter(waiting))
        self.leave(longest)
        longest.give_way()
        return True
