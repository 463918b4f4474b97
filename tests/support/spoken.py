"""One HTTP connection without a network: a test feeds the protocol and reads its output."""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import uvicorn
from uvicorn.server import ServerState

from bridge.http.wire.protocol import BoundedProtocol


def post(path: bytes, body: bytes, more: bytes = b"", version: bytes = b"1.1") -> bytes:
    """Make a request with a body and more header lines."""
    length = b"content-length: %d\r\n\r\n" % len(body)
    return b"POST %s HTTP/%s\r\nhost: x\r\n%s%s%s" % (path, version, more, length, body)


class Wire:
    """A transport that keeps the written bytes; all fed bytes are read."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.written = b""
        self.closed = False
        self.reads = True
        self._address = address

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed = True

    abort = write_eof = close

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return True

    def get_extra_info(self, name: str) -> tuple[str, int] | None:
        return (self._address, 80) if name in ("sockname", "peername") else None

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True


async def echo(scope: Any, receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    """Respond with the path and the body."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        more = message["more_body"]
    assert not [name for name, _ in scope["headers"] if name == b"upgrade"]
    said = scope["path"].encode() + b" " + body
    headers = [(b"content-length", b"%d" % len(said))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": said})


async def hasty(_scope: Any, _receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    """Respond without reading the body."""
    await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"no"})


class Spoken:
    """A connection that is fed."""

    def __init__(self, kind: type[BoundedProtocol], application: Any, address: str = "127.0.0.1") -> None:
        config = uvicorn.Config(application, ws="none", log_config=None, http=kind, server_header=False)
        config.load()
        self.wire = Wire(address)
        self.protocol = kind(config=config, server_state=ServerState(), app_state={})
        self.protocol.connection_made(self.wire)  # type: ignore[arg-type]  # all that is asked of one

    async def hear(self, data: bytes) -> None:
        """Feed the bytes, and wait until the protocol writes nothing more."""
        if not self.wire.closed:
            self.protocol.data_received(data)
        quiet, written = 0, -1
        while quiet < 10:
            quiet = quiet + 1 if written == len(self.wire.written) else 0
            written = len(self.wire.written)
            await asyncio.sleep(0)

    async def end(self) -> None:
        """Close the client's side."""
        self.protocol.connection_lost(None)
        await asyncio.gather(*self.protocol.tasks)

    @property
    def answers(self) -> list[tuple[int, bytes]]:
        """Return status and body of each response, also of interim ones."""
        found, rest = [], self.wire.written
        while rest:
            head, _, rest = rest.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 "), head
            length = re.search(rb"content-length: (\d+)", head)
            size = int(length[1]) if length else 0
            found.append((int(head.split(b" ", 2)[1]), rest[:size]))
            rest = rest[size:]
        return found


async def spoken(kind: type[BoundedProtocol], application: Any, *parts: bytes) -> Spoken:
    """Feed these parts to a connection and close it; return it."""
    one = Spoken(kind, application)
    for part in parts:
        await one.hear(part)
    await one.end()
    return one
