"""Reading of request bodies within limits of size, time, rate and memory, with decompression within the same limits."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from bridge.http.answer import Message, Receive
from bridge.http.byte_budget import GAVE_WAY, Held
from bridge.http.problems import Code, Problem

WHOLE_BODY: Final = "bridge.whole_body"
"""Scope key, set if the whole body has arrived: `receive` returns it without waiting."""

WIRE_BYTES: Final = "bridge.wire_bytes"
"""Scope key of a body that arrived in several reads: their bytes so far, of all kinds."""

CLIENT_GONE: Final = "bridge.client_gone"
"""Scope key, set if the client disconnected before its answer was sent."""

_GZIP_MARK: Final = b"\x1f\x8b\x08"
_GZIP: Final = 31  # zlib's wbits for a window of 32 KiB with a gzip header
_MOST_MEMBERS = 16
# Inflating so much takes a fraction of a millisecond for every input: empty blocks cost the most.
_PART_BYTES = 4 * 1024
_INFLATED_PART_BYTES = 64 * 1024

Took = Callable[[int], Awaitable[None]]
"""Called with the number of further inflated bytes; may yield to other tasks."""


async def _at_once(_size: int) -> None:
    """Inflate without waiting for a turn."""


async def _let_others(_size: int) -> None:
    """Yield to other tasks after each part, without counting it."""
    await asyncio.sleep(0)


class ClientGone(Exception):
    """The client disconnected before its body was complete."""


class BodyLimits:
    """Limits of a body: its size, and its time, both in total and by its rate.

    After `grace` seconds a body must have arrived at `rate` bytes a second on average.
    """

    def __init__(self, most_bytes: int, seconds: float, *, grace: float = 5.0, rate: float = 240.0) -> None:
        self.most_bytes = most_bytes
        self.seconds = seconds
        self._grace = grace
        self._rate = rate

    def check_announced(self, headers: Mapping[bytes, bytes]) -> None:
        """Check the headers; raises Problem if the announced length is too large or the encoding is not supported."""
        _encoding(headers)
        length = headers.get(b"content-length", b"0")
        # The parser has refused values that are no number. No client sends a length with so many digits.
        if len(length) > 15 or int(length) > self.most_bytes:
            raise Problem(Code.BODY_TOO_LARGE, f"at most {self.most_bytes} bytes")

    async def read(
        self,
        receive: Receive,
        headers: Mapping[bytes, bytes],
        held: Held,
        *,
        whole: bool = False,
        turn: Took = _at_once,
        took: Took = _let_others,
    ) -> bytes:
        """Return the whole body, inflated.

        `held` counts the bytes as they arrive and as they are inflated; `took` is called with the inflated bytes.
        Before inflating, the body waits for its `turn`, by its compressed size. A body that has arrived `whole` has no
        time limit. Raises Problem or ClientGone.
        """
        self.check_announced(headers)
        began = 0.0 if whole else asyncio.get_running_loop().time()
        parts: list[bytes] = []
        size, more = 0, True
        while more:
            message = await (receive() if whole else self._next(receive, began, size, held))
            if message["type"] == "http.disconnect":
                raise ClientGone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            more = message.get("more_body", False)
            if size > self.most_bytes:
                raise Problem(Code.BODY_TOO_LARGE, f"at most {self.most_bytes} bytes")
            held.grow_to(size)
        held.works()
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        # No JSON begins with these bytes: a proxy or a client has dropped the header.
        if _encoding(headers) == b"gzip" or body.startswith(_GZIP_MARK):
            await turn(len(body))
            return await self._inflated(body, held, took)
        return body

    async def _next(self, receive: Receive, began: float, size: int, held: Held) -> Message:
        """Return the next message of a body that began at `began`; `size` bytes of it have arrived."""
        slow = max(self._grace, size / self._rate) if self._rate else self.seconds
        try:
            async with asyncio.timeout_at(began + min(slow, self.seconds)) as limit:

                def end() -> None:
                    # A body that is already late must not be ended twice.
                    if not limit.expired():
                        limit.reschedule(began)

                held.waits(end)
                return await receive()
        except TimeoutError:
            if held.gave_way:
                raise Problem(Code.BODY_TIMEOUT, GAVE_WAY) from None
            detail = f"the body must arrive within {self.seconds:g} s"
            if slow < self.seconds:
                detail = f"the body must come at {self._rate:g} bytes a second after {self._grace:g} s"
            raise Problem(Code.BODY_TIMEOUT, detail) from None

    async def _inflated(self, body: bytes, held: Held, took: Took) -> bytes:
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
                held.grow_to(self.most_bytes - left)
                data = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
                # The decompressor may have more output of this input than `most` allowed.
                more = len(part) == most and not inflater.eof
        if not inflater.eof:
            raise Problem(Code.INVALID_PAYLOAD_JSON, "the gzip stream is cut off")
        return b"".join(parts)


def _encoding(headers: Mapping[bytes, bytes]) -> bytes:
    """Return the encoding, `gzip` or empty; raises Problem."""
    encoding = headers.get(b"content-encoding", b"").strip().lower()
    if encoding in (b"", b"identity"):
        return b""
    if encoding in (b"gzip", b"x-gzip"):
        return b"gzip"
    raise Problem(Code.UNSUPPORTED_ENCODING)
