"""A lost connection leaves nothing to the garbage collector, whose scan of a flood's remains would hold the loop."""

import asyncio
import contextlib
import socket
import struct
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any, ClassVar

import pytest
import uvloop
from support.garbage import no_collection
from support.spoken import hasty
from support.wait import wait_until

from bridge.http.server import Server, listening_socket, server_config
from bridge.http.wire.connections import Connections
from bridge.http.wire.protocol import BoundedProtocol
from bridge.http.wire.request_pace import Pace

GET = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\n"
BYTES = {
    "nothing": b"",
    "part of a request": b"GET / HT",
    "a request": GET,
    "pipelined requests": GET * 4,
    "part of a body": b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nab",
    "a last request": b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    "no request": b"NOPE\r\n\r\n",
}
COUNT = 10


class Watched(BoundedProtocol):
    """A connection that is known whether it is freed or not."""

    places = Connections(1000, 0)
    pace = Pace(1e6)
    made: ClassVar[list["weakref.ref[Watched]"]] = []

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.made.append(weakref.ref(self))


async def waiting(_scope: Any, receive: Callable[..., Any], _send: Callable[..., Any]) -> None:
    """Wait for the client's end."""
    while (await receive())["type"] != "http.disconnect":
        pass


@contextlib.asynccontextmanager
async def serving(application: Any) -> AsyncIterator[tuple[Server, int]]:
    """Start a server; yield it and its port."""
    bound = listening_socket("127.0.0.1", 0)
    server = Server(server_config(application, keep_alive=5, drain=1, http=Watched, lifespan="off"))
    served = asyncio.create_task(server.serve(sockets=[bound]))
    await wait_until(lambda: server.started, budget_seconds=20, describe="the server to start")
    try:
        yield server, bound.getsockname()[1]
    finally:
        server.should_exit = True
        await served


async def _connections(application: Any, data: bytes, *, reset: bool) -> int:
    """Open and close connections; returns how many of them only a collection would free."""
    Watched.made.clear()
    async with serving(application) as (server, port):
        with no_collection():
            opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(COUNT)]
            for _, writer in opened:
                writer.write(data)
            await wait_until(lambda: len(Watched.made) == COUNT, budget_seconds=20, describe="all to be opened")
            for _, writer in opened:
                _close(writer, reset=reset)
            state = server.server_state
            gone = lambda: not state.connections and not state.tasks  # noqa: E731
            await wait_until(gone, budget_seconds=20, describe="the server to notice the end")
            return sum(made() is not None for made in Watched.made)


def _close(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    if reset:
        option = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, option)
    writer.close()


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize("application", [hasty, waiting])
@pytest.mark.parametrize("sent", BYTES)
def test_a_lost_connection_is_freed_at_once(sent: str, application: Any, reset: bool) -> None:
    """Transports of uvloop are part of the cycles, so the server is a real one."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        left = runner.run(_connections(application, BYTES[sent], reset=reset))

    assert left == 0
