"""A gateway's routes in this process, without Kafka and Postgres: records are kept and acknowledged immediately."""

import json
import secrets
from collections.abc import AsyncIterator, Callable, Hashable, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType
from typing import Any, NamedTuple, cast
from urllib.parse import quote

from bridge.gateway.app import create_app
from bridge.gateway.delivery import Delivery
from bridge.gateway.loop_time import LoopTime
from bridge.gateway.middleware import Front
from bridge.gateway.publisher import HeaderList, Publisher
from bridge.gateway.services import Services
from bridge.http.answer import CLOSE, Message, Receive, Send
from bridge.http.byte_budget import ByteBudget, Shares
from schemas.api_key import ApiKey, make_key
from schemas.pipeline.registry import Script
from support.events.settled import settings_for
from support.processes.gateway import ORIGIN


class Answered(NamedTuple):
    """A response."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    def json(self) -> Any:
        """The body, parsed as JSON."""
        return json.loads(self.content)


class _Records:
    """A publisher that keeps the values."""

    stuck = False
    bytes_in_flight = 0

    def __init__(self) -> None:
        self.values: list[bytes] = []

    def is_behind(self, _names: Hashable) -> bool:
        return False

    def delivery(self, sender: Hashable, shares: Shares, _count: int, _size: int) -> Delivery:
        """Return a delivery: there is always room."""
        return Delivery(sender, ByteBudget("bytes", 1, 1).holding(shares), LoopTime())

    def add(self, _delivery: Delivery, _key: bytes | None, value: bytes, _headers: HeaderList) -> None:
        """Keep the value."""
        self.values.append(value)


class LoneGateway:
    """Scripts s1 and s2, each with an origin and an API key; `values` are the values that Kafka would hold."""

    def __init__(self, front: Front, services: Services, keys: Mapping[str, str], values: list[bytes]) -> None:
        self.front = front
        self.services = services
        self.values = values
        self._keys = keys

    def server(self, script: str = "s1") -> dict[str, str]:
        """The headers of a server's request."""
        return {"authorization": f"Bearer {self._keys[script]}"}

    def visitor(self, script: str = "s1") -> dict[str, str]:
        """The headers of a visitor's request."""
        return {"authorization": f"Bearer {self.services.tokens.issue(script, ORIGIN).text}", "origin": ORIGIN}

    async def post(
        self,
        headers: Mapping[str, str],
        content: bytes,
        *,
        path: str = "/api/bridge/s1/events",
        address: str = "9.9.9.9",
    ) -> Answered:
        """Post from that address."""
        return await self.ask("POST", path, headers, content, address=address)

    async def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] = MappingProxyType({}),
        content: bytes = b"",
        *,
        address: str = "9.9.9.9",
    ) -> Answered:
        """Send a request from that address."""
        sent: list[dict[str, Any]] = []

        async def send(message: Any) -> None:
            sent.append(message)

        await self.send(method, path, headers, content, send, address=address)
        told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answered(sent[0]["status"], told, b"".join(one.get("body", b"") for one in sent[1:]))

    async def send(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        content: bytes,
        reader: Send,
        *,
        address: str = "9.9.9.9",
        more: Receive | None = None,
        close: Callable[[], None] | None = None,
    ) -> None:
        """Send a request from that address.

        `reader` receives the parts of the response. `more` provides the messages after `content`. `close` closes the
        connection.
        """
        left = [{"type": "http.request", "body": content, "more_body": more is not None}]

        async def receive() -> Message:
            if left or more is None:
                return left.pop()
            return await more()

        scope = {
            "type": "http", "method": method, "path": path, "raw_path": quote(path, safe="/:").encode(), "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()], "client": (address, 1),
        }  # fmt: skip
        if close is not None:
            scope[CLOSE] = close
        await self.front(scope, receive, reader)


@asynccontextmanager
async def lone_gateway(**more: object) -> AsyncIterator[LoneGateway]:
    """Make one with these settings."""
    dsn = "postgresql://nobody@127.0.0.1:1/none"
    settings = settings_for("127.0.0.1:1", dsn, "t.", **more)
    front = create_app(settings)
    front.services = services = Services(settings)
    made = {script: make_key(secrets.token_bytes) for script in ("s1", "s2")}
    known = services.producers
    known.current = {script: Script(script, int(script[1:]), 1, True) for script in made}
    known.origins = dict.fromkeys(made, frozenset({ORIGIN}))
    known.keys = {key.key_id: ApiKey(key.key_id, script, key.digest, revoked=False) for script, key in made.items()}
    records = _Records()
    services.publisher, unused = cast("Publisher", records), services.publisher
    try:
        yield LoneGateway(front, services, {script: key.text for script, key in made.items()}, records.values)
    finally:
        await unused.close()
