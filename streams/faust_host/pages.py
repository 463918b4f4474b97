"""The pages of a worker's metrics port, and the limits on what their clients can use of the worker's time and files."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

import faust
from aiohttp.web import BaseSite, SockSite
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_server import Server
from faust.web.drivers.aiohttp import Web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from sinks.readiness import ALIVE, NOT_READY
from streams.faust_host.host import HOST_LOGGER
from telemetry import metrics

if TYPE_CHECKING:
    from streams.faust_host.app import App

MOST_CONNECTIONS: Final = 64
"""At more connections than this, the oldest ones are closed."""
MOST_AT_ONCE: Final = 10
_METRICS_PER_SECOND: Final = 1.0
_READY_PER_SECOND: Final = 10.0

T = TypeVar("T")


class Kept(Generic[T]):
    """A page that is built at most `rate` times a second (after a burst of ten), however many requests arrive."""

    def __init__(
        self, build: Callable[[], Awaitable[T]], rate: float, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._build = build
        self._rate = rate
        self._now = now
        self._turn = asyncio.Lock()
        self._left, self._counted_at = float(MOST_AT_ONCE), now()
        self._page: T | None = None

    async def page(self) -> T:
        """Return the page. Requests that arrive while it is built wait for it."""
        async with self._turn:
            now = self._now()
            self._left = min(MOST_AT_ONCE, self._left + (now - self._counted_at) * self._rate)
            self._counted_at = now
            if self._page is None or self._left >= 1:
                self._left -= 1
                self._page = await self._build()
            return self._page


class FewConnections(SockSite):
    """A listening socket with at most MOST_CONNECTIONS connections, so that idle ones do not use up the process's files."""

    async def start(self) -> None:
        await BaseSite.start(self)
        opened = partial(_opened, cast("Server", self._runner.server))
        self._server = await asyncio.get_running_loop().create_server(opened, sock=self._sock, backlog=self._backlog)


def _opened(server: Server) -> RequestHandler:
    """Return the protocol of a new connection, after closing the oldest connections beyond the limit."""
    connections = server.connections
    for oldest in connections[: max(0, len(connections) + 1 - MOST_CONNECTIONS)]:
        oldest.force_close()
    return server()


class MetricsServer(Web):
    """Faust's web server for /metrics, /health and /ready.

    It uses the socket that was bound when the app was created.
    """

    logger = HOST_LOGGER

    def _create_site(self) -> BaseSite:
        return FewConnections(self._runner, self.app.listener)  # type: ignore[attr-defined]  # the app is an App


async def _on_loop_of(app: faust.App, work: Coroutine[Any, Any, T]) -> T:
    """Run the coroutine on the app's event loop and return its result. Pages use this, from the web server's thread."""
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, app.loop))


def add_pages(app: "App") -> None:
    """Add the pages /metrics, /health (the process is alive) and /ready (the worker can process events).

    Before the worker has started, and after it has failed, the process is alive but not ready.
    """

    async def latest() -> bytes:
        return generate_latest(metrics.REGISTRY)

    async def is_ready() -> tuple[int, dict[str, Any]]:
        worker = app.batch_worker
        if worker is None or worker.failed.done():
            return 503, NOT_READY
        return await _on_loop_of(app, worker.readiness.ready())

    # The figures are collected on the worker's loop, so that no batch is counted in part.
    figures = Kept(lambda: _on_loop_of(app, latest()), _METRICS_PER_SECOND)
    readiness = Kept(is_ready, _READY_PER_SECOND)

    async def serve(web: Any, _request: Any) -> Any:
        return web.bytes(await figures.page(), content_type=CONTENT_TYPE_LATEST.split(";")[0])

    async def health(web: Any, _request: Any) -> Any:
        return web.json(ALIVE)

    async def ready_page(web: Any, _request: Any) -> Any:
        status, body = await readiness.page()
        return web.json(body, status=status)

    app.page("/metrics")(serve)
    app.page("/health")(health)
    app.page("/ready")(ready_page)
