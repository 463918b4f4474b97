"""The limits of a worker's metrics port: how often its pages are built, and how many connections it has."""

import asyncio
import socket
from contextlib import AsyncExitStack

import pytest
from aiohttp import web
from support.wait import wait_until

from streams.faust_host.pages import MOST_AT_ONCE, MOST_CONNECTIONS, FewConnections, Kept

_BUDGET_SECONDS = 20


@pytest.mark.parametrize(("rate", "built"), [(1.0, 3), (10.0, 10)])
async def test_a_page_is_built_seldom_however_many_ask(rate: float, built: int) -> None:
    """A page is built on the worker's loop, and takes it some milliseconds."""
    now = [0.0]
    made = 0

    async def build() -> int:
        nonlocal made
        await asyncio.sleep(0)
        made += 1
        return made

    kept = Kept(build, rate, lambda: now[0])
    assert max(await asyncio.gather(*(kept.page() for _ in range(500)))) == MOST_AT_ONCE
    now[0] += 3.0
    await asyncio.gather(*(kept.page() for _ in range(500)))
    assert made == MOST_AT_ONCE + built


async def test_a_page_that_could_not_be_built_is_built_again() -> None:
    """The error is that of one request."""
    failing = True

    async def build() -> str:
        if failing:
            raise TimeoutError
        return "page"

    kept = Kept(build, 1.0)
    with pytest.raises(TimeoutError):
        await kept.page()
    failing = False
    assert await kept.page() == "page"


async def test_idle_connections_give_way(unused_tcp_socket: socket.socket) -> None:
    """A probe is answered beside a thousand idle connections, of which few stay open."""

    async def answer(_request: web.Request) -> web.Response:
        return web.Response(text="alive")

    application = web.Application()
    application.router.add_get("/health", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await FewConnections(runner, unused_tcp_socket).start()
    place = unused_tcp_socket.getsockname()
    async with AsyncExitStack() as stack, asyncio.timeout(_BUDGET_SECONDS):
        stack.push_async_callback(runner.cleanup)
        for _ in range(3 * MOST_CONNECTIONS):
            _, writer = await asyncio.open_connection(*place)
            stack.callback(writer.close)
        reader, writer = await asyncio.open_connection(*place)
        stack.callback(writer.close)
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200 OK" in await reader.readline()
        server = runner.server
        assert server is not None
        await wait_until(lambda: len(server.connections) <= MOST_CONNECTIONS, budget_seconds=5, describe="few are left")


@pytest.fixture
def unused_tcp_socket() -> socket.socket:
    """A bound socket, which the site closes."""
    bound = socket.create_server(("127.0.0.1", 0))
    bound.setblocking(False)
    return bound
