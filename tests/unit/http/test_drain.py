"""The drain of an HTTP service: which connections it ends."""

import asyncio
import contextlib
from typing import Any

from support.spoken import hasty
from support.wait import wait_until

from bridge.http.server import Server, listening_socket, server_config
from bridge.http.wire.connections import Connections
from bridge.http.wire.protocol import BoundedProtocol
from bridge.http.wire.request_pace import Pace

GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
MANY = 20
BUDGET_SECONDS = 30
DRAIN_SECONDS = 3600


class Plain(BoundedProtocol):
    """A connection without limits that matter here."""

    places = Connections(1000, 0)
    pace = Pace(1e6)


class Late(Server):
    """A server whose connections open after the drain has begun."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.drains = asyncio.Event()

    async def shutdown(self, sockets: Any = None) -> None:
        asyncio.get_running_loop().call_soon(self.drains.set)
        await super().shutdown(sockets)


async def test_a_connection_that_opens_during_the_drain_does_not_last() -> None:
    """Such a connection would send further requests until the time limit of the drain cancels one of them."""
    loop, opening = asyncio.get_running_loop(), asyncio.Event()
    with listening_socket("127.0.0.1", 0) as bound:
        server = Late(server_config(hasty, keep_alive=DRAIN_SECONDS, drain=DRAIN_SECONDS, http=Plain, lifespan="off"))
        connect = loop.connect_accepted_socket

        async def connect_late(*arguments: Any) -> Any:
            opening.set()
            await server.drains.wait()
            return await connect(*arguments)

        loop.connect_accepted_socket = connect_late  # type: ignore[method-assign,assignment]
        served = asyncio.create_task(server.serve(sockets=[bound]))
        await wait_until(lambda: server.started, budget_seconds=BUDGET_SECONDS, describe="the server to start")
        reader, writer = await asyncio.open_connection(*bound.getsockname())
        await asyncio.wait_for(opening.wait(), BUDGET_SECONDS)
        server.should_exit = True

        answered = await asyncio.wait_for(_answers(reader, writer), BUDGET_SECONDS)

        assert answered <= 1
        await asyncio.wait_for(served, BUDGET_SECONDS)


async def _answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    """Send one request after the other until the server closes the connection; return how many it answers."""
    count = 0
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while count < MANY:
            writer.write(GET)
            await reader.readuntil(b"\r\n\r\n")
            count += 1
    writer.close()
    return count
