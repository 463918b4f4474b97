"""Errors of the client: a full buffer, and undelivered events."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

from schemas.errors import BridgeError

_NAMED = 3


class Undelivered(NamedTuple):
    """An event that the client has given up: its exact bytes, and why. To send it again is safe: its id counts once."""

    event_id: str
    body: bytes
    error_code: str
    reason: str


class BufferFull(BridgeError):
    """The buffer or the spool (the queue on disk) is full, so the event was not queued."""


class NotDelivered(BridgeError):
    """`flush` or `close` could not deliver some events.

    `undelivered` has the events that were given up; no later error contains them again. `waiting` is the number of
    events that are still to be tried. The waiting events are in memory or, if `spooled`, on disk, where the next client
    with the same spool directory finds them.
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


@contextmanager
def noted_in(error: BaseException | None) -> Iterator[None]:
    """Add a NotDelivered that the block raises to `error`, as a note; raise it if `error` is None.

    `error` has ended the block of the program that used the client, so it takes precedence.
    """
    try:
        yield
    except NotDelivered as lost:
        if error is None:
            raise
        error.add_note(f"besides, {lost}")
