"""Lingering close: after the answer, the client's remaining bytes are read and dropped for a while."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

_MOST_BYTES: Final = 8 * 1024 * 1024
_MOST_SECONDS: Final = 10.0
_IDLE_SECONDS: Final = 2.0


def _is_not_midway() -> bool:
    """Return False: a lost connection has no request."""
    return False


class LingeringTransport:
    """A connection's transport. A close while a request is `midway` closes only the writing side.

    A socket that is closed with unread bytes is reset. The reset overtakes the answer, so a client that is still
    sending would never see why it was refused. The socket is therefore closed when the client has closed, has been
    silent for a while, or has sent too long or too much.
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

    def write(self, data: bytes) -> None:
        """Write the data, unless the connection has ended: answers to requests after the last are dropped."""
        if not self.is_closing():
            self._transport.write(data)

    def pause_reading(self) -> None:
        """Pause reading until it is resumed."""
        self._paused = True
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Resume reading, unless earlier bytes are not parsed yet."""
        self._paused = False
        if not self._held:
            self._transport.resume_reading()

    def hold_reading(self) -> None:
        """Pause reading until the bytes that were read are parsed."""
        if not self._held:
            self._held = True
            self._transport.pause_reading()

    def let_go_reading(self) -> None:
        """Resume reading: all bytes are parsed."""
        self._held = False
        if not self._paused and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Close the connection; if a request is midway, after the rest of it was read."""
        if self.is_closing():
            return
        if not self._midway() or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._transport.write_eof()
        self._paused = self._held = False
        self._transport.resume_reading()
        self._until = self._loop.time() + _MOST_SECONDS
        self._timer = self._loop.call_later(_IDLE_SECONDS, self._look)

    def close_at_once(self) -> None:
        """Close the connection regardless of incoming bytes; written bytes have a moment to be sent."""
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self._loop.call_later(_IDLE_SECONDS, self._transport.abort)

    def drop(self, size: int) -> None:
        """Count bytes that arrived after the close."""
        self._dropped += size
        if self._dropped > _MOST_BYTES:
            self._transport.close()

    def lost(self) -> None:
        """Handle the loss of the connection, and drop the reference to it."""
        self._midway = _is_not_midway
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        if self._dropped == self._dropped_before or self._loop.time() > self._until:
            self._transport.close()
            return
        self._dropped_before = self._dropped
        self._timer = self._loop.call_later(_IDLE_SECONDS, self._look)
