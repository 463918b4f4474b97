"""The pages of a worker with several processes, served by its supervisor: `/metrics`, `/health` and `/ready` of all."""

import asyncio
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import uvicorn

from bridge.http.answer import Receive, Scope, Send
from bridge.http.exposition import Exposition
from bridge.http.problems import Code
from bridge.http.server import quiet_server, server_config
from bridge.http.wire.connections import Connections
from bridge.http.wire.protocol import BoundedProtocol
from bridge.http.wire.request_pace import Pace
from bridge.processes.supervisor import Seat
from bridge.worker.process import READY
from bridge.worker.shares import together
from sinks.readiness import ALIVE

_READY_SECONDS: Final = 4.0
_KEEP_ALIVE_SECONDS: Final = 65.0
_STOP_SECONDS: Final = 2.0
_JSON: Final = "application/json"

T = TypeVar("T")
Page = tuple[int, bytes, str]
"""Status, body and media type."""


class _Uncounted:
    """A gauge that keeps nothing."""

    def inc(self) -> None: ...

    def dec(self) -> None: ...


class PagesProtocol(BoundedProtocol):
    """The connections of the pages. Idle ones are closed for new ones, so that they do not use up the process's files."""

    places = Connections(200, 50)
    # Probes and scrapers may share an address.
    pace = Pace(0)
    open_connections: Any = _Uncounted()

    @classmethod
    def _count_refusal(cls, code: Code, count: int = 1) -> None:
        """Count nothing: the metrics are those of the processes."""


class Pages:
    """The ASGI application. Processes are asked in threads and at the same time, since one may not answer for seconds."""

    def __init__(self, seats: list[Seat]) -> None:
        self._seats = seats
        self._exposition = Exposition()
        self._pages: dict[str, Callable[[], Awaitable[Page]]] = {
            "/metrics": self.metrics, "/health": self.health, "/ready": self.ready
        }  # fmt: skip

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        page = self._pages.get(scope["path"].rstrip("/"))
        status, body, kind = (404, b"", "text/plain") if page is None else await page()
        headers = [(b"content-type", kind.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def metrics(self) -> Page:
        """Return the merged metrics."""
        text, kind = await asyncio.to_thread(self._exposition.page)
        return 200, text, kind

    async def health(self) -> Page:
        """Return 200 if every process runs and answers; a process that is starting counts as healthy."""
        healthy = await self._of_each(lambda seat: seat.is_healthy)
        states = ["healthy" if one else "unhealthy" for one in healthy]
        if "unhealthy" in states:
            return _json(503, {"status": "unhealthy", "processes": states})
        return _json(200, {**ALIVE, "processes": states})

    async def ready(self) -> Page:
        """Return the readiness of all processes together."""
        return _json(*together(await self._of_each(_answer_of)))

    async def _of_each(self, ask: Callable[[Seat], T]) -> list[T]:
        return await asyncio.gather(*(asyncio.to_thread(ask, seat) for seat in self._seats))


def _answer_of(seat: Seat) -> tuple[int, dict[str, Any]] | None:
    answer = seat.ask(READY, _READY_SECONDS)
    return None if answer is None else (answer[0], answer[1])


def _json(status: int, body: dict[str, Any]) -> Page:
    return status, json.dumps(body).encode(), _JSON


@contextmanager
def serving(seats: list[Seat], listener: socket.socket) -> Iterator[None]:
    """Serve the pages in a thread within the block."""
    quiet_server()
    config = server_config(
        Pages(seats),
        keep_alive=_KEEP_ALIVE_SECONDS,
        drain=_STOP_SECONDS,
        lifespan="off",
        http=PagesProtocol,
        loop="asyncio",
    )
    # Outside of the main thread, uvicorn leaves the signals to the supervisor.
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=[[listener]], name="pages", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(2 * _STOP_SECONDS)
