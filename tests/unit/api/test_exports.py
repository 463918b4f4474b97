"""Exports beside other requests: the amount written per client, and the event loop's availability meanwhile."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from typing import Any

from support.virtual_time import run_virtually

from bridge.api.dead_letters import _Export, _written
from bridge.dead_letters.export import Form
from schemas.pipeline.record import Provenance, RawBody
from sinks.cooperative import Share
from sinks.postgres.dead_letters.letter import DeadLetterLine, WholeDeadLetter

NOW = datetime(2026, 11, 22, tzinfo=UTC)
LINE = DeadLetterLine(
    Provenance("bridge.raw", 0, 1), NOW, "schema_violation", "schema_violation", "wrong", "00" * 8, 1, 1, None, "s1", "e",
    "open", None, None,
)  # fmt: skip
LARGE = WholeDeadLetter(LINE, RawBody(b"k", b"x" * 100_000, ()), NOW, NOW, NOW, NOW, None, None)
PIECE = [LARGE] * 50


class Reader:
    """A client that reads immediately and disconnects after a given number of parts."""

    def __init__(self, most: int) -> None:
        self.parts = 0
        self._most = most
        self._gone = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.parts += message["type"] == "http.response.body" and bool(message["body"])
        if self.parts >= self._most:
            self._gone.set()


async def export(reader: Reader, form: Form) -> None:
    """An export of a hundred large dead letters in two pieces, each of which waits for its turn."""
    clock = 0.0

    def now() -> float:
        nonlocal clock
        clock += 1.0
        return clock

    async def pieces() -> AsyncGenerator[list[WholeDeadLetter], None]:
        yield PIECE

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "asgi": {"spec_version": "2.3"}}
    await _Export(_written(pieces(), PIECE, form, Share(now)), form)(scope, reader.receive, reader.send)


def test_nothing_is_written_for_a_client_that_is_gone() -> None:
    """At most the part in progress is written after the client disconnects."""

    async def parts(form: Form) -> int:
        reader = Reader(most=10)
        await export(reader, form)
        return reader.parts

    for form in Form:
        assert run_virtually(parts(form)) <= 11


def test_others_have_the_loop_after_each_large_letter() -> None:
    """The client's reading speed does not matter."""

    async def turns() -> tuple[int, int]:
        reader, turns = Reader(most=1000), 0
        writing = asyncio.create_task(export(reader, Form.NDJSON))
        while not writing.done():
            turns += 1
            await asyncio.sleep(0.5)
        return reader.parts, turns

    parts, of_others = run_virtually(turns())
    assert parts == 2 * len(PIECE)
    assert of_others >= parts
