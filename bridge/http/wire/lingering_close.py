"""Hanging up without taking the answer along: what the client still sends is read and dropped for a while."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

_MOST_BYTES: Final = 8 * 1024 * 1024
_MOST_SECONDS: Final = 10.0
_IDLE_SECONDS: Final = 2.0


class LingeringTransport:
    """A connection's transport. A close while a request is `midway` ends the writing only.

    A socket that is closed with bytes unread is reset, and the reset overtakes the answer: who was still sending would
    never see why it was refused. So it is closed when the client has closed, or has been silent, or has gone on for long.
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
        """Whether nothing is written any more."""
        return self._timer is not None or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        """Writes it, unless the connection has ended: an answer to a request behind the last, or to who is gone."""
        if not self.is_closing():
            self._transport.write(data)

    def pause_reading(self) -> None:
        """Reads nothing more until it is resumed."""
        self._paused = True
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Reads on, unless what was read is not parsed yet."""
        self._paused = False
        if not self._held:
            self._transport.resume_reading()

    def hold_reading(self) -> None:
        """Reads nothing more until what was read is parsed."""
        if not self._held:
            self._held = True
            self._transport.pause_reading()

    def let_go_reading(self) -> None:
        """What was read is parsed."""
        self._held = False
        if not self._paused and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Ends the connection; if a request is midway, after what is left of it."""
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
        """Ends the connection whatever is on its way to us; what was written has a moment to leave."""
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self._loop.call_later(_IDLE_SECONDS, self._transport.abort)

    def drop(self, size: int) -> None:
        """So many bytes came after the close."""
        self._dropped += size
        if self._dropped > _MOST_BYTES:
            self._transport.close()

    def lost(self) -> None:
        """The connection is no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        if self._dropped == self._dropped_before or self._loop.time() > self._until:
            self._transport.close()
            return
        self._dropped_before = self._dropped
        self._timer = self._loop.call_later(_IDLE_SECONDS, self._look)
