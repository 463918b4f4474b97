"""Errors of the client: a full buffer, and undelivered events."""

from collections.abc import Sequence
from typing import NamedTuple

from schemas.errors import BridgeError

_NAMED = 3


class Undelivered(NamedTuple):
    """An event that is not tried again, byte for byte as sent, with the reason; its id makes another send safe."""

    event_id: str
    body: bytes
    error_code: str
    reason: str


class BufferFull(BridgeError):
    """The buffer or the spool is full: the event was not queued."""


class NotDelivered(BridgeError):
    """Events that `flush` or `close` could not deliver.

    `undelivered` events were given up and are handed over with this error, once. `waiting` counts the events that are
    still to be tried, in memory or, if `spooled`, on disk, where the next client with the same spool finds them.
    """

    def __init__(
        self, undelivered: Sequence[Undelivered], *, waiting: int = 0, spooled: bool = False, reason: str = ""
    ) -> None:
        self.undelivered = tuple(undelivered)
        self.waiting = waiting
        self.spooled = spooled
        super().__init__(self._said(reason))

    def _said(self, reason: str) -> str:
        said = []
        if self.undelivered:
            named = ", ".join(f"{one.event_id} ({one.error_code}: {one.reason})" for one in self.undelivered[:_NAMED])
            more = len(self.undelivered) - _NAMED
            said.append(f"{len(self.undelivered)} not delivered: {named}" + (f" and {more} more" if more > 0 else ""))
        if self.waiting:
            place = "in the spool" if self.spooled else "in memory"
            said.append(f"{self.waiting} still wait {place}" + (f" ({reason})" if reason else ""))
        return "; ".join(said)
