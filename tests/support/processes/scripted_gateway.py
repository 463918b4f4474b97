"""A server with scripted responses to posted batches, which the real gateway can't be made to give on purpose."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiohttp import web

Event = dict[str, Any]


class Posted(NamedTuple):
    """One request: its headers, and the ids in it."""

    headers: dict[str, str]
    ids: list[str]


Reply = web.Response | BaseException
Rule = Callable[[Sequence[Event]], Reply | None]


def problem(status: int, code: str, retry_after: str | None = None) -> web.Response:
    """Make a refusal in the gateway's format."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return web.json_response({"error_code": code, "message": "as the test says"}, status=status, headers=headers)


class ScriptedGateway:
    """Accepts every batch, unless `rule` returns a response or `replies` are left; counts the accepted events."""

    def __init__(self) -> None:
        self.url = ""
        self.posted: list[Posted] = []
        self.taken: Counter[str] = Counter()
        self.replies: list[Reply] = []
        self.rule: Rule = lambda _events: None

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        events: list[Event] = json.loads(body)["events"]
        ids = [event["event_id"] for event in events]
        self.posted.append(Posted(dict(request.headers), ids))
        reply = self.replies.pop(0) if self.replies else self.rule(events)
        if isinstance(reply, BaseException):
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if reply is not None:
            return reply
        self.taken.update(ids)
        return self.accept(ids)

    @staticmethod
    def accept(ids: Sequence[str]) -> web.Response:
        """Accept every event."""
        results = [{"index": at, "event_id": one, "status": "accepted"} for at, one in enumerate(ids)]
        return web.json_response({"results": results}, status=202)


@asynccontextmanager
async def scripted_gateway(port: int = 0) -> AsyncIterator[ScriptedGateway]:
    """Run one on a free port of loopback."""
    gateway = ScriptedGateway()
    app = web.Application(client_max_size=4 * 1024 * 1024)
    app.router.add_post("/api/bridge/{script_id}/events", gateway.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port, reuse_address=True).start()
        gateway.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield gateway
    finally:
        await runner.cleanup()
