"""Unread answers: the gateway closes such connections in favour of others."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import ClassVar

import uvloop
from support.processes.lone_gateway import lone_gateway
from support.spoken import post
from support.wait import wait_until

from bridge.http.server import Server, listening_socket, server_config
from bridge.http.wire.connections import Connections
from bridge.http.wire.protocol import BoundedProtocol
from bridge.http.wire.request_pace import Pace

CONNECTIONS = 8
PAGES = 16
PAGE = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n"


class Few(BoundedProtocol):
    """A connection of few; `unread` are those whose client does not read."""

    places = Connections(CONNECTIONS, 0)
    pace = Pace(0)
    unread: ClassVar[set["Few"]] = set()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.unread.add(self)


@asynccontextmanager
async def serving(application: object) -> AsyncIterator[int]:
    """Start a server; yield its port."""
    bound = listening_socket("127.0.0.1", 0)
    server = Server(server_config(application, keep_alive=300, drain=1, http=Few, lifespan="off"))
    served = asyncio.create_task(server.serve(sockets=[bound]))
    await wait_until(lambda: server.started, budget_seconds=20, describe="the server to start")
    try:
        yield bound.getsockname()[1]
    finally:
        server.should_exit = True
        await served


@contextmanager
def unread(port: int) -> Iterator[None]:
    """As many connections as allowed, each with pending answers larger than the sockets' buffers."""
    opened = []
    try:
        for _ in range(CONNECTIONS):
            one = socket.socket()
            opened.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
            # A network's segment size: loopback's larger segments would hold all of the answers.
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1400)
            one.connect(("127.0.0.1", port))
            one.sendall(PAGE * PAGES)
        yield
    finally:
        for one in opened:
            one.close()


async def _answer_beside_unread_ones() -> bytes:
    """Return the answer to another client, once all connections have filled their buffers."""
    Few.unread.clear()
    async with lone_gateway() as gateway, serving(gateway.front) as port:
        with unread(port):
            full = lambda: len(Few.unread) == CONNECTIONS  # noqa: E731
            await wait_until(full, budget_seconds=20, describe="the buffers to be full")
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            key = gateway.server()["authorization"].encode()
            more = b"connection: close\r\nauthorization: %s\r\n" % key
            writer.write(post(b"/api/bridge/s1/events", b'{"event_id":"a"}', more))
            answer = await reader.read()
            writer.close()
    return answer


def test_connections_whose_answers_nobody_reads_give_way() -> None:
    """A client without credential cannot hold all connections by leaving its answers unread."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answer = runner.run(_answer_beside_unread_ones())

    assert answer.startswith(b"HTTP/1.1 202 "), answer
