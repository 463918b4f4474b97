"""The pages of a worker's supervisor: healthy and ready only if each process is."""

import asyncio
import json
import socket
from contextlib import AsyncExitStack
from typing import Any

import pytest

from bridge.http.wire.connections import Connections
from bridge.processes.link import PING
from bridge.processes.supervisor import Seat
from bridge.worker.pages import READY, Page, Pages, PagesProtocol, serving

_BUDGET_SECONDS = 20


class Process:
    """The link to a process that answers with `known`; `answers` is whether it has answered before."""

    def __init__(self, known: dict[str, Any], *, answers: int = 1) -> None:
        self._known = known
        self.answers = answers

    def ask(self, question: str, _seconds: float) -> Any:
        return self._known.get(question)


BODY = {
    "status": "ready", "state": "healthy", "components": {"kafka": "ok"}, "latency_ms": {"kafka": 1.0}, "partitions": 3
}  # fmt: skip
WELL = Process({PING: True, READY: [200, BODY]})
STARTING = Process({}, answers=0)
HUNG = Process({})


def seats_of(*links: Process | None) -> list[Seat]:
    seats = [Seat(number) for number, _ in enumerate(links, start=1)]
    for seat, link in zip(seats, links, strict=True):
        seat.link = link  # type: ignore[assignment]  # all that a page uses of it
    return seats


def pages(*links: Process | None) -> Pages:
    return Pages(seats_of(*links))


def parsed(page: Page) -> tuple[int, dict[str, Any]]:
    status, body, kind = page
    assert kind == "application/json"
    return status, json.loads(body)


@pytest.mark.parametrize(
    ("other", "status"), [(WELL, 200), (STARTING, 200), (HUNG, 503), (None, 503)],
    ids=["well", "starting", "hung", "ended"],
)  # fmt: skip
async def test_healthy_is_each_process_that_answers_or_starts(other: Process | None, status: int) -> None:
    """A start may wait for services, as that of a single process."""
    found, body = parsed(await pages(WELL, other).health())
    state = "healthy" if status == 200 else "unhealthy"
    assert (found, body) == (status, {"status": state, "processes": ["healthy", state]})


@pytest.mark.parametrize(
    ("other", "status"), [(WELL, 200), (STARTING, 503), (HUNG, 503), (None, 503)],
    ids=["well", "starting", "hung", "ended"],
)  # fmt: skip
async def test_ready_are_processes_that_say_so(other: Process | None, status: int) -> None:
    """A process that is starting is not ready."""
    found, body = parsed(await pages(WELL, other).ready())
    assert (found, body["partitions"]) == (status, 6 if status == 200 else 3)
    assert body["processes"] == ["healthy", "healthy" if status == 200 else "unhealthy"]


async def test_idle_connections_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """They do not use up the supervisor's files, and a probe is answered beside them."""
    monkeypatch.setattr(PagesProtocol, "places", Connections(3, 0))
    with socket.create_server(("127.0.0.1", 0)) as listener, serving(seats_of(WELL), listener):
        async with asyncio.timeout(_BUDGET_SECONDS), AsyncExitStack() as stack:
            idle = []
            for _ in range(3):
                reader, writer = await asyncio.open_connection(*listener.getsockname())
                stack.callback(writer.close)
                idle.append(reader)
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            stack.callback(writer.close)
            writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"200 OK" in await reader.readline()
            assert await idle[0].read() == b""


async def test_the_pages_run_on_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    """They have a thread of their own, which could crash the process at its end under uvloop."""
    loops: list[asyncio.AbstractEventLoop] = []

    async def health(_self: Pages) -> Page:
        loops.append(asyncio.get_running_loop())
        return 200, b"{}", "application/json"

    monkeypatch.setattr(Pages, "health", health)
    with socket.create_server(("127.0.0.1", 0)) as listener, serving(seats_of(WELL), listener):
        async with asyncio.timeout(_BUDGET_SECONDS):
            reader, writer = await asyncio.open_connection(*listener.getsockname())
            writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readline()
            writer.close()

    assert [type(loop) for loop in loops] == [asyncio.SelectorEventLoop]
