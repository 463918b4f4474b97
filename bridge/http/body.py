"""Reading a request's body: within a bound of bytes, a bound of time and a bound of memory, and inflated within it."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from bridge.http.answer import Message, Receive
from bridge.http.problems import Code, Problem

WHOLE_BODY: Final = "bridge.whole_body"
"""In the scope of a request whose body has arrived whole: its receive has it at once."""

_GZIP: Final = 31  # zlib's word for a window of 32 KiB in gzip's wrapping
_MOST_MEMBERS = 16
# So much takes no longer than a few milliseconds, whatever it inflates to: blocks of nothing are the dearest.
_PART_BYTES = 32 * 1024
_INFLATED_PART_BYTES = 64 * 1024

Took = Callable[[int], Awaitable[None]]
"""Told of so many bytes more that were inflated; may let others have their turn."""


async def _free(_size: int) -> None:
    """Inflating is not counted."""


class ClientGone(Exception):
    """The client hung up before its body was whole."""


class Room:
    """The bytes of all bodies in hand; a request that finds no room is refused instead of waiting in memory."""

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self.taken = 0

    def holding(self, size: int) -> "_Held":
        """Holds so many bytes while its block runs, which raises Problem if there is no room for them."""
        return _Held(self, size)

    def take(self, size: int) -> None:
        if self.taken + size > self._most:
            raise Problem(Code.OVERLOADED, "too many bytes of other requests are in hand")
        self.taken += size


class _Held:
    """A generator's context would cost more than all that it guards."""

    __slots__ = ("_room", "_size")

    def __init__(self, room: Room, size: int) -> None:
        self._room = room
        self._size = size

    def __enter__(self) -> None:
        self._room.take(self._size)

    def __exit__(self, *_: object) -> None:
        self._room.taken -= self._size


class BodyLimits:
    """How large a body may be, and how long it may take."""

    def __init__(self, most_bytes: int, seconds: float) -> None:
        self.most_bytes = most_bytes
        self.seconds = seconds

    def announced(self, headers: Mapping[bytes, bytes]) -> int:
        """How many bytes the body may come to; raises Problem if that is too many by its own word."""
        _encoding(headers)
        length = headers.get(b"content-length")
        if length is None:
            return self.most_bytes
        # The parser has refused what is not a number. So many digits are none that anybody sends.
        if len(length) > 15 or int(length) > self.most_bytes:
            raise Problem(Code.BODY_TOO_LARGE, f"at most {self.most_bytes} bytes")
        return int(length)

    async def read(
        self, receive: Receive, headers: Mapping[bytes, bytes], *, whole: bool = False, took: Took = _free
    ) -> bytes:
        """The whole body, inflated, of which `took` is told; raises Problem, or ClientGone.

        What has arrived `whole` needs no clock.
        """
        gzipped = _encoding(headers) == b"gzip"
        message = await (receive() if whole else self._next(receive, None))
        if message["type"] == "http.disconnect":
            raise ClientGone
        body: bytes = message.get("body", b"")
        if message.get("more_body", False):
            body = await self._rest(receive, body)
        if len(body) > self.most_bytes:
            raise Problem(Code.BODY_TOO_LARGE, f"at most {self.most_bytes} bytes")
        return await self._inflated(body, took) if gzipped else body

    async def _rest(self, receive: Receive, first: bytes) -> bytes:
        parts, size = [first], len(first)
        deadline = asyncio.get_running_loop().time() + self.seconds
        more = True
        while more:
            message = await self._next(receive, deadline)
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            more = message.get("more_body", False)
            if size > self.most_bytes:
                raise Problem(Code.BODY_TOO_LARGE, f"at most {self.most_bytes} bytes")
        return b"".join(parts)

    async def _next(self, receive: Receive, deadline: float | None) -> Message:
        try:
            async with asyncio.timeout_at(deadline or asyncio.get_running_loop().time() + self.seconds):
                message = await receive()
        except TimeoutError:
            raise Problem(Code.BODY_TIMEOUT, f"the body must arrive within {self.seconds:g} s") from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        return message

    async def _inflated(self, body: bytes, took: Took) -> bytes:
        parts: list[bytes] = []
        left = self.most_bytes
        inflater, members = zlib.decompressobj(wbits=_GZIP), 1
        for begin in range(0, len(body), _PART_BYTES):
            data = body[begin : begin + _PART_BYTES]
            more = True
            while data or more:
                if inflater.eof:
                    inflater, members = zlib.decompressobj(wbits=_GZIP), members + 1
                if members > _MOST_MEMBERS:
                    raise Problem(Code.INVALID_PAYLOAD_JSON, f"more than {_MOST_MEMBERS} gzip members")
                most = min(left + 1, _INFLATED_PART_BYTES)
                try:
                    part = inflater.decompress(data, most)
                except zlib.error as error:
                    raise Problem(Code.INVALID_PAYLOAD_JSON, f"the body is not gzip: {error}") from None
                parts.append(part)
                left -= len(part)
                await took(len(part))
                if left < 0:
                    raise Problem(Code.BODY_TOO_LARGE, f"at most {self.most_bytes} bytes when inflated")
                data = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
                # There may be more of what was taken than `most` let out.
                more = len(part) == most and not inflater.eof
        if not inflater.eof:
            raise Problem(Code.INVALID_PAYLOAD_JSON, "the gzip stream is cut off")
        return b"".join(parts)


def _encoding(headers: Mapping[bytes, bytes]) -> bytes:
    """`gzip` or nothing; raises Problem."""
    encoding = headers.get(b"content-encoding", b"").strip().lower()
    if encoding in (b"", b"identity"):
        return b""
    if encoding in (b"gzip", b"x-gzip"):
        return b"gzip"
    raise Problem(Code.UNSUPPORTED_ENCODING)
