"""Reading of request bodies within limits of size, time, rate and memory; decompression has the same limits."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final

from bridge.http.answer import Message, Receive
from bridge.http.byte_budget import GAVE_WAY, Held
from bridge.http.problems import Code, Problem

WHOLE_BODY: Final = "bridge.whole_body"
"""Scope key, set if the whole body has arrived. Then `receive` returns the body without waiting."""

WIRE_BYTES: Final = "bridge.wire_bytes"
"""Scope key of a body that arrives in several reads: the number of bytes so far, including the framing of chunks."""

BODY_BYTES: Final = "bridge.body_bytes"
"""Scope key: the number of the body's bytes that have arrived, also of those that `receive` has not returned yet."""

CLIENT_GONE: Final = "bridge.client_gone"
"""Scope key, set if the client disconnected before its response was sent."""

_GZIP_MARK: Final = b"\x1f\x8b\x08"
_GZIP: Final = 31  # zlib's wbits for a window of 32 KiB with a gzip header
_MOST_MEMBERS = 16
# A part of this size inflates within a fraction of a millisecond, even the slowest kind: empty blocks.
_PART_BYTES = 4 * 1024
_INFLATED_PART_BYTES = 64 * 1024

Took = Callable[[int], Awaitable[None]]
"""Called with a number of bytes: compressed ones before, or inflated ones after a part. It can yield to other tasks."""


async def _at_once(_size: int) -> None:
    """Inflate the body without waiting for a turn."""


async def _let_others(_size: int) -> None:
    """Let other tasks of the event loop run, after each inflated part of a body of any size."""
    await asyncio.sleep(0)


class ClientGone(Exception):
    """The client disconnected before its body was complete."""


class BodyLimits:
    """Limits of a body: its size in bytes, its total time in seconds, and its rate.

    After `grace` seconds the average rate must be at least `rate` bytes a second.
    """

    def __init__(self, most_bytes: int, seconds: float, *, grace: float = 5.0, rate: float = 240.0) -> None:
        self.most_bytes = most_bytes
        self.seconds = seconds
        self._grace = grace
        self._rate = rate

    def check_announced(self, headers: Mapping[bytes, bytes]) -> None:
        """Check the headers; raises Problem if the announced length is too large or the encoding is not supported."""
        _is_gzip(headers)
        length = headers.get(b"content-length", b"0")
        # The parser has refused a length that is not a number. No real length has more than 15 digits.
        if len(length) > 15 or int(length) > self.most_bytes:
            raise Problem(Code.BODY_TOO_LARGE, f"the limit is {self.most_bytes} bytes")

    async def read(
        self,
        receive: Receive,
        headers: Mapping[bytes, bytes],
        held: Held,
        *,
        whole: bool = False,
        so_far: Callable[[], int] = int,
        turn: Took = _at_once,
        took: Took = _let_others,
    ) -> bytes:
        """Return the whole body, inflated; raises Problem or ClientGone.

        - `held` is the request's share of the byte budget; it grows as bytes arrive, and as they are inflated.
        - `whole`: the body has arrived completely, so no time limit applies.
        - `so_far` returns how many bytes have arrived, also those that `receive` has not returned yet.
        - `turn` is awaited before inflating, with the compressed size. It returns when the body may be inflated.
        - `took` is awaited after each inflated part, with its size.
        """
        self.check_announced(headers)
        began = 0.0 if whole else asyncio.get_running_loop().time()
        parts: list[bytes] = []
        size, more = 0, True

        def ends() -> float:
            return began + self._seconds_for(max(size, so_far()))

        while more:
            message = await (receive() if whole else self._next(receive, began, ends, held))
            if message["type"] == "http.disconnect":
                raise ClientGone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            more = message.get("more_body", False)
            if size > self.most_bytes:
                raise Problem(Code.BODY_TOO_LARGE, f"the limit is {self.most_bytes} bytes")
            held.grow_to(size)
        held.works()
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        # No JSON begins with these bytes. A proxy or a client has dropped the Content-Encoding header.
        if _is_gzip(headers) or body.startswith(_GZIP_MARK):
            await turn(len(body))
            return await self._inflated(body, held, took)
        return body

    def _seconds_for(self, size: int) -> float:
        """Return how long a body may take of which `size` bytes have arrived."""
        return min(self.seconds, max(self._grace, size / self._rate)) if self._rate else self.seconds

    async def _next(self, receive: Receive, began: float, ends: Callable[[], float], held: Held) -> Message:
        """Return the next message of a body that began at time `began`; `ends` returns until when it must arrive."""
        while True:
            until = ends()
            try:
                async with asyncio.timeout_at(until) as limit:
                    held.waits(partial(_end, limit, began))
                    return await receive()
            except TimeoutError:
                if held.gave_way:
                    raise Problem(Code.BODY_TIMEOUT, GAVE_WAY) from None
                if ends() > until:
                    # More of the body has arrived meanwhile.
                    continue
                detail = f"the body must arrive within {self.seconds:g} s"
                if until < began + self.seconds:
                    detail = f"after {self._grace:g} s, the body must have arrived at {self._rate:g} bytes a second or faster"
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
                    raise Problem(Code.INVALID_PAYLOAD_JSON, f"the body has more than {_MOST_MEMBERS} gzip members")
                most = min(left + 1, _INFLATED_PART_BYTES)
                try:
                    part = inflater.decompress(data, most)
                except zlib.error as error:
                    raise Problem(Code.INVALID_PAYLOAD_JSON, f"the body is not gzip: {error}") from None
                parts.append(part)
                left -= len(part)
                await took(len(part))
                if left < 0:
                    raise Problem(Code.BODY_TOO_LARGE, f"the limit is {self.most_bytes} bytes after decompression")
                held.grow_to(self.most_bytes - left)
                data = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
                # The decompressor may still have output that did not fit into `most` bytes.
                more = len(part) == most and not inflater.eof
        if not inflater.eof:
            raise Problem(Code.INVALID_PAYLOAD_JSON, "the gzip stream of the body is incomplete")
        return b"".join(parts)


def _end(limit: asyncio.Timeout, began: float) -> None:
    # A body whose time limit has passed must not be ended twice.
    if not limit.expired():
        limit.reschedule(began)


def _is_gzip(headers: Mapping[bytes, bytes]) -> bool:
    """Return whether the body is compressed; raises Problem for any other encoding than gzip."""
    encoding = headers.get(b"content-encoding", b"").strip().lower()
    if encoding not in (b"", b"identity", b"gzip", b"x-gzip"):
        raise Problem(Code.UNSUPPORTED_ENCODING)
    return encoding.endswith(b"gzip")
