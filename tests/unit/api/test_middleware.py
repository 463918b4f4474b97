"""The outermost layer: slots for requests in flight, and rate limits."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from support.logs import logs_written
from support.virtual_time import run_virtually

from bridge.api.middleware import Front
from bridge.http.body import BodyLimits
from bridge.http.byte_budget import ByteBudget
from bridge.http.token_buckets import Buckets
from schemas.api_key import NewKey, make_key
from schemas.api_token import ApiToken, Role
from telemetry.log_limit import MOST_A_MINUTE

KEYS = [make_key(lambda count, number=number: bytes([number]) * count) for number in range(4)]
ORGS = [10, 10, 20, None]
_BUDGET_SECONDS = 5
ADMIN_PORT = 9
FORGED = make_key(lambda count: bytes([99]) * count)


class Served:
    """A front over routes that do not end before `end`."""

    def __init__(self, rate: float = 0.0, most: int = 4, most_of_one: int = 2) -> None:
        tokens = {
            key.key_id: ApiToken(key.key_id, f"t{number}", key.digest, Role.VIEWER, ORGS[number], None, revoked=False)
            for number, key in enumerate(KEYS)
        }
        self.known = tokens
        self.tokens = SimpleNamespace(tokens=tokens, is_current=True)
        self.settings = SimpleNamespace(api_admin_port=0, api_max_requests=most, api_max_requests_per_org=most_of_one)
        services: Any = SimpleNamespace(
            settings=self.settings,
            tokens=self.tokens, callers=Buckets("token", rate, lambda: 0.0),
            addresses=Buckets("address", rate, lambda: 0.0), body=BodyLimits(1000, 1.0), budget=ByteBudget("bytes", 10_000, 1000),
            use=lambda _key_id: None,
        )  # fmt: skip
        self.front = Front(self._route, services)
        self.ended = asyncio.Event()
        self.tasks: list[asyncio.Task[int]] = []

    async def _route(self, _scope: Any, _receive: Any, send: Callable[[Any], Any]) -> None:
        await self.ended.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask(self, key: NewKey, method: str = "GET", path: str = "/v1/plans", port: int = 8) -> int:
        """The status of the answer; all requests come from one address, as behind a proxy."""
        told: list[int] = []

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                told.append(message["status"])

        async def receive() -> Any:
            return {"type": "http.request", "body": b"{}", "more_body": False}

        headers = [(b"authorization", b"Bearer " + key.text.encode()), (b"content-length", b"2")]
        scope = {
            "type": "http", "method": method, "path": path, "headers": headers, "client": ("10.0.0.1", 1), "server": ("s", port),
        }  # fmt: skip
        self.settings.api_admin_port = port if port == ADMIN_PORT else 0
        async with asyncio.timeout(_BUDGET_SECONDS):
            await self.front(scope, receive, send)
        return told[0]

    def become(self, number: int, org_id: int) -> None:
        """Give the token another organisation."""
        key_id = KEYS[number].key_id
        self.known[key_id] = self.known[key_id]._replace(org_id=org_id)

    async def hold(self, key: NewKey, **more: str) -> asyncio.Task[int]:
        """Start a request, which is then in flight or refused."""
        task = asyncio.create_task(self.ask(key, **more))
        self.tasks.append(task)
        for _ in range(5):
            await asyncio.sleep(0)
        return task

    async def end(self) -> list[int]:
        """End all requests and return their statuses."""
        self.ended.set()
        return await asyncio.gather(*self.tasks)


async def test_one_organisation_does_not_take_all_places() -> None:
    """Tokens and slowness do not matter; callers without an organisation have slots of their own."""
    served = Served()
    for key in (KEYS[0], KEYS[1]):
        await served.hold(key)
    assert await served.ask(KEYS[0]) == 429
    assert await served.ask(KEYS[1], method="POST") == 429
    for key in (KEYS[2], KEYS[3]):
        await served.hold(key)
    assert await served.ask(KEYS[3]) == 503
    assert await served.end() == [200] * 4
    assert await served.ask(KEYS[0]) == 200


async def test_a_few_organisations_do_not_take_all_places() -> None:
    """A quarter of the places is for callers that have none, and the last one for tokens without an organisation."""
    served = Served(most=16, most_of_one=8)
    for key in (KEYS[0], KEYS[1]):
        for _ in range(8):
            await served.hold(key)
    for _ in range(8):
        await served.hold(KEYS[2])
    assert served.front._in_hand_of == {10: 8, 20: 4}
    assert await served.ask(KEYS[2]) == 503
    for org_id in (30, 31, 32):
        served.become(2, org_id)
        await served.hold(KEYS[2])
    served.become(2, 33)
    assert await served.ask(KEYS[2]) == 503
    await served.hold(KEYS[3])
    assert served.front._in_hand_of.total() == 16
    await served.end()
    assert await served.ask(KEYS[2]) == 200


async def test_what_asks_for_no_token_takes_no_place() -> None:
    """A flood of the health page leaves the operators' slots free."""
    served = Served(most=1)
    for _ in range(3):
        await served.hold(KEYS[0], path="/health")
    await served.hold(KEYS[0])
    assert await served.end() == [200] * 4


async def test_whoever_tries_tokens_holds_nobody_else_back() -> None:
    """Behind one proxy all share an address, so its limit counts only invalid tokens."""
    served = Served(rate=5)
    served.ended.set()
    assert [await served.ask(FORGED) for _ in range(12)] == [401] * 10 + [429] * 2
    assert [await served.ask(KEYS[0]) for _ in range(12)] == [200] * 10 + [429] * 2
    assert await served.ask(KEYS[2]) == 200


@pytest.mark.parametrize("path", ["/metrics", "/docs", "/openapi.json"])
async def test_pages_count_in_the_rate_of_their_address(path: str) -> None:
    """Together with requests without a valid token. At the admin port, where Prometheus reads, they do not count."""
    served = Served(rate=5)
    served.ended.set()
    assert [await served.ask(KEYS[0], path=path) for _ in range(12)] == [200] * 10 + [429] * 2
    assert await served.ask(FORGED) == 429
    assert [await served.ask(KEYS[0], path=one) for one in ("/", "/health", "/ready", "/v1/plans")] == [200] * 4
    assert [await served.ask(KEYS[0], path=path, port=ADMIN_PORT) for _ in range(12)] == [200] * 12


async def test_refusals_of_strangers_fill_no_log() -> None:
    """Refusals are logged up to a limit per minute, then counted; requests with a token are all logged."""
    served = Served()
    served.ended.set()
    with logs_written("INFO", "bridge-api") as written:
        for key in (FORGED, KEYS[0]):
            for _ in range(2 * MOST_A_MINUTE):
                await served.ask(key)
    events = Counter(json.loads(line)["event"] for line in written.getvalue().splitlines())
    assert events["request_refused"] == MOST_A_MINUTE
    assert events["request"] == 2 * MOST_A_MINUTE


@pytest.mark.parametrize(("key", "status"), [(KEYS[0], 503), (FORGED, 401)])
async def test_tokens_that_were_not_read_for_too_long_open_nothing(key: NewKey, status: int) -> None:
    """They may have been revoked since; a request without a valid token is refused as before."""
    served = Served()
    served.ended.set()
    served.tokens.is_current = False
    assert await served.ask(key) == status
    assert await served.ask(key, path="/health") == 200


class Streamed(Served):
    """A front over a route that streams parts of 4 KiB; `part` is called before each."""

    def __init__(self, parts: int, part: Callable[[int], None] = lambda _number: None) -> None:
        super().__init__()
        self._parts, self._part = parts, part

    async def _route(self, _scope: Any, _receive: Any, send: Callable[[Any], Any]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for number in range(self._parts):
            self._part(number)
            await send({"type": "http.response.body", "body": b"x" * 4096, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def read(self, seconds_a_part: float) -> tuple[int, bool]:
        """The number of parts for a client with this reading time, and whether the answer was complete."""
        got: list[Any] = []

        async def send(message: Any) -> None:
            await asyncio.sleep(seconds_a_part if message.get("more_body") else 0)
            got.append(message)

        async def receive() -> Any:
            return {"type": "http.disconnect"}

        headers = [(b"authorization", b"Bearer " + KEYS[0].text.encode())]
        await self.front({"type": "http", "method": "GET", "path": "/v1/x", "headers": headers}, receive, send)
        parts = [one for one in got if one["type"] == "http.response.body"]
        return sum(bool(one["body"]) for one in parts), not parts[-1].get("more_body", False) if parts else False


@pytest.mark.parametrize(
    ("seconds", "parts", "whole"),
    [(0.9, 2000, True), (1.5, 117, False), (20, 3, False), (61, 0, False)],
    ids=["fast enough", "below 4 KiB/s", "far below", "not at all"],
)
def test_answer_is_cut_off_unless_it_is_read_at_a_least_rate(seconds: float, parts: int, whole: bool) -> None:
    """The limit is a minute plus a second per 4 KiB read; the slot is then free again."""

    async def read() -> tuple[int, bool]:
        served = Streamed(2000)
        found = await served.read(seconds)
        assert not served.front._in_hand_of
        return found

    got, ended = run_virtually(read())
    assert ended is whole
    assert abs(got - parts) <= 1


class Whole(Streamed):
    """A front over a route that sends its answer in one message, as long as so many parts of 4 KiB."""

    async def _route(self, _scope: Any, _receive: Any, send: Callable[[Any], Any]) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 4096 * self._parts})


@pytest.mark.parametrize(("seconds", "parts", "whole"), [(10, 16, True), (61, 0, False)], ids=["read", "not read"])
def test_long_answer_holds_its_place_until_it_is_read(seconds: float, parts: int, whole: bool) -> None:
    """It is sent in parts of 64 KiB, so that unread answers hold no more memory than the places allow."""

    async def read() -> tuple[int, bool]:
        return await Whole(256).read(seconds)

    assert run_virtually(read()) == (parts, whole)


@pytest.mark.parametrize("change", [{"revoked": True}, {"expires_at": datetime(2020, 1, 1, tzinfo=UTC)}])
def test_streamed_answer_ends_with_its_token(change: dict[str, Any]) -> None:
    """After its token is revoked or expires, an answer ends at the next part and is visibly incomplete."""

    async def read() -> tuple[int, bool]:
        def part(number: int) -> None:
            if number == 5:
                key_id = KEYS[0].key_id
                served.known[key_id] = served.known[key_id]._replace(**change)

        served = Streamed(2000, part)
        return await served.read(0)

    assert run_virtually(read()) == (5, False)


def test_streamed_answer_ends_once_the_tokens_are_too_old() -> None:
    """A revocation would not be noticed any more."""

    async def read() -> tuple[int, bool]:
        def part(number: int) -> None:
            served.tokens.is_current = number < 5

        served = Streamed(2000, part)
        return await served.read(0)

    assert run_virtually(read()) == (5, False)
