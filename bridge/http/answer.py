"""A response, and its sending over ASGI."""

from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
HeaderPairs: TypeAlias = list[tuple[bytes, bytes]]

_BODILESS = (204, 304)
PART_BYTES: Final = 64 * 1024
"""The length of a part of a response. A response that is no longer does not wait for its client to read."""
JSON_TYPE = (b"content-type", b"application/json")
CLOSE: Final = "bridge.close"
"""Scope key of a function, set when the body has arrived. The function closes the connection, even during an answer."""


def parts_of(message: Message) -> Iterator[Message]:
    """Yield an ASGI message, or several ones instead of a long part of a response, so that each waits for the client."""
    body = message.get("body", b"")
    if len(body) <= PART_BYTES:
        yield message
        return
    for start in range(0, len(body), PART_BYTES):
        end = start + PART_BYTES
        more = end < len(body) or message.get("more_body", False)
        yield {**message, "body": body[start:end], "more_body": more}


@dataclass(slots=True)
class Answer:
    """Status, body and headers of a response.

    `error_code` is set on a refusal. `holding` is the request's share of a budget, which is released after sending.
    """

    status: int
    body: bytes
    headers: HeaderPairs = field(default_factory=list)
    error_code: str = ""
    holding: ExitStack | None = None

    async def send(self, send: Send, more: HeaderPairs) -> None:
        """Send the response with the headers `more`. A long body is sent in parts, as fast as the client reads."""
        headers = [*self.headers, *more]
        if self.status not in _BODILESS:
            headers.append((b"content-length", str(len(self.body)).encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        for part in parts_of({"type": "http.response.body", "body": self.body}):
            await send(part)
