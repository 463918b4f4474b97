"""A request and its response as the outermost layers of gateway and API see them."""

import time

import structlog
from starlette.types import ASGIApp

from bridge.http.admin_port import PAGES
from bridge.http.answer import HeaderPairs, Message, Receive, Scope, Send
from bridge.http.ids import RequestIds, request_ids
from bridge.http.problems import Code, Problem


def identify(scope: Scope) -> tuple[dict[bytes, bytes], RequestIds]:
    """Return the headers and ids of a request; the request's log lines and FastAPI's answers have these ids too."""
    headers = dict(scope["headers"])
    ids = scope["bridge_ids"] = request_ids(headers)
    # Each request is a separate task, so its context variables need no reset.
    structlog.contextvars.bind_contextvars(**ids.fields())
    return headers, ids


class Exchange:
    """Sends one response with the headers that all responses have, and keeps what was answered."""

    def __init__(self, send: Send, ids: RequestIds, headers: HeaderPairs) -> None:
        """`headers` are added to the response beside those of its ids."""
        self._send = send
        self._ids = ids
        self._more: HeaderPairs = [*ids.headers(), *headers]
        self.status = 0
        """The status of the response; 0 before it begins."""
        self.began: float | None = None
        """When the response began, by the monotonic clock in seconds."""
        self.error_code: Code | None = None

    async def send(self, message: Message) -> None:
        """Send a part of the response, as an ASGI message."""
        if message["type"] == "http.response.start":
            self.status, self.began = message["status"], time.perf_counter()
            message["headers"] = [*message.get("headers", ()), *self._more]
        await self._send(message)

    async def refuse(self, problem: Problem) -> None:
        """Answer the request with the problem."""
        self.error_code = problem.code
        await problem.answer(self._ids).send(self.send, [])


async def serve_page(rest: ASGIApp, scope: Scope, receive: Receive, exchange: Exchange) -> None:
    """Let FastAPI answer the request of a page, such as `/health`; raises Problem if no page has the path."""
    if scope["path"] not in PAGES:
        raise Problem(Code.NOT_FOUND)
    # No page reads the query, but FastAPI would parse it.
    scope["query_string"] = b""
    await rest(scope, receive, exchange.send)
