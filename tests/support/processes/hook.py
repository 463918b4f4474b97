"""A receiver of webhook calls."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

Call = tuple[dict[str, str], bytes]


@asynccontextmanager
async def listening(answer: Callable[[int], int | None]) -> AsyncIterator[tuple[str, list[Call]]]:
    """Run a server; `answer` maps the number of a call to its status, None for no response; yields URL and calls."""
    calls: list[Call] = []

    async def handle(request: web.Request) -> web.Response:
        calls.append(({name.lower(): value for name, value in request.headers.items()}, await request.read()))
        status = answer(len(calls))
        if status is None:
            await asyncio.Event().wait()
        return web.Response(status=status or 500)

    application = web.Application()
    application.router.add_post("/hook", handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook", calls
    finally:
        await runner.cleanup()
