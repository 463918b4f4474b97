"""Time limit of unread answers: how long a connection's client may leave them unread."""

import asyncio
from typing import Final

from bridge.http.wire.lingering_close import LingeringTransport

_MOST_SECONDS: Final = 60.0
_HASTY_SECONDS: Final = 2.0
_LEAST_BYTES_PER_SECOND: Final = 4096


class UnreadLimit:
    """Ends a connection whose client reads its answers too slowly.

    A client may leave answers unread for a minute in all, and for one second more for each 4 KiB that it reads. The
    time of all pauses counts together, so that a client gains none by reading a little from time to time.
    """

    def __init__(self, transport: LingeringTransport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._most_seconds = self._seconds_left = _MOST_SECONDS
        self._unread_bytes = 0
        self._since = 0.0

    def begin(self) -> None:
        """Note that the client does not read. Unless `end` is called in time, the connection is aborted."""
        self._unread_bytes, self._since = self._transport.unsent_bytes, self._loop.time()
        self._timer = self._loop.call_later(self._seconds_left, self._transport.abort)

    def end(self) -> None:
        """Note that the client has read, or is gone."""
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        read_bytes = self._unread_bytes - self._transport.unsent_bytes
        gained = read_bytes / _LEAST_BYTES_PER_SECOND - (self._loop.time() - self._since)
        self._seconds_left = min(self._most_seconds, self._seconds_left + gained)

    def hasten(self) -> None:
        """Leave the client no more than two seconds for each pause from now on, because the server stops."""
        self._most_seconds = _HASTY_SECONDS
        self._seconds_left = min(self._seconds_left, _HASTY_SECONDS)
        if self._timer is not None:
            self._timer.cancel()
            self.begin()
