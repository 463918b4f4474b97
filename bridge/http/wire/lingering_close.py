"""Lingering close: after the response, the client's remaining bytes are read and dropped for a while."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

_MOST_BYTES: Final = 8 * 1024 * 1024
_MOST_SECONDS: Final = 10.0
_IDLE_SECONDS: Final = 2.0
_UNREAD_SECONDS: Final = 60.0
"""How long the last answer of a connection may stay unread."""


class LingeringTransport:
    """A connection's transport. While `midway()` is true (the client sends a request), `close` first ends only writing.

    If a socket is closed with unread bytes, TCP resets the connection. The reset overtakes the response, so a client
    that still sends would not see why it was refused. The socket is therefore closed when one of these is true:

    - the client has closed the connection;
    - the client has sent nothing for 2 seconds;
    - 10 seconds have passed, or 8 MiB have arrived.
    """

    def __init__(self, transport: asyncio.Transport, midway: Callable[[], bool]) -> None:
        self._transport = transport
        self._midway = midway
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._until = 0.0
        self._dropped = self._dropped_before = 0
        self.abort = transport.abort
        self.get_extra_info: Callable[..., Any] = transport.get_extra_info
        self._paused = self._held = False

    def is_closing(self) -> bool:
        """Return whether nothing is written any more."""
        return self._timer is not None or self._transport.is_closing()

    @property
    def unsent_bytes(self) -> int:
        """The bytes that were written and that the kernel has not taken yet, because the client does not read."""
        return self._transport.get_write_buffer_size()

    def write(self, data: bytes) -> None:
        """Write the data. After `close` the data is dropped, because no further request is answered."""
        if not self.is_closing():
            self._transport.write(data)

    def pause_reading(self) -> None:
        """Pause reading until `resume_reading` is called."""
        self._paused = True
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Resume reading, unless `hold_reading` has paused it."""
        self._paused = False
        if not self._held:
            self._transport.resume_reading()

    def hold_reading(self) -> None:
        """Pause reading until the bytes that were read are parsed, and `let_go_reading` is called."""
        if not self._held:
            self._held = True
            self._transport.pause_reading()

    def let_go_reading(self) -> None:
        """Resume reading after `hold_reading`, because all bytes are parsed; not if `pause_reading` was called too."""
        self._held = False
        if not self._paused and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Close the connection. If the client still sends a request, the rest is read and dropped within limits."""
        if self.is_closing():
            return
        if not self._midway() or not self._transport.can_write_eof():
            self._close_within(_UNREAD_SECONDS)
            return
        self._transport.write_eof()
        self._paused = self._held = False
        self._transport.resume_reading()
        self._until = self._loop.time() + _MOST_SECONDS
        self._timer = self._loop.call_later(_IDLE_SECONDS, self._look)

    def close_at_once(self) -> None:
        """Close the connection without reading more. Bytes that were written have 2 seconds to be sent."""
        self._close_within(_IDLE_SECONDS)

    def hasten(self) -> None:
        """Leave bytes that were written before `close` no more than 2 seconds to be sent, because the server stops."""
        if self.is_closing() and self.unsent_bytes:
            self.close_at_once()

    def _close_within(self, seconds: float) -> None:
        self._transport.close()
        if self.unsent_bytes:
            # Without a limit, a client that does not read would keep the connection.
            self._loop.call_later(seconds, self._transport.abort)

    def drop(self, size: int) -> None:
        """Count bytes that arrived after the close, and were dropped."""
        self._dropped += size
        if self._dropped > _MOST_BYTES:
            self._transport.close()

    def lost(self) -> None:
        """Handle the loss of the connection, and drop the reference to its protocol."""
        # A lost connection has no request in progress.
        self._midway = lambda: False
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        if self._dropped == self._dropped_before or self._loop.time() > self._until:
            self._transport.close()
            return
        self._dropped_before = self._dropped
        self._timer = self._loop.call_later(_IDLE_SECONDS, self._look)
