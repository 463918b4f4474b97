"""An answer as ASGI sends it."""

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
HeaderPairs: TypeAlias = list[tuple[bytes, bytes]]

_BODILESS = (204, 304)
JSON_TYPE = (b"content-type", b"application/json")


@dataclass(slots=True)
class Answer:
    """Status, body and headers; `error_code` is set on a refusal."""

    status: int
    body: bytes
    headers: HeaderPairs = field(default_factory=list)
    error_code: str = ""

    async def send(self, send: Send, more: HeaderPairs) -> None:
        """Sends it with more headers."""
        headers = [*self.headers, *more]
        if self.status not in _BODILESS:
            headers.append((b"content-length", str(len(self.body)).encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})
