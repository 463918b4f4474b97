"""The gateway's metrics: series from the beginning, and slow clients and clients with a key."""

import asyncio
import time
from typing import Any

import pytest
from prometheus_client import generate_latest
from pydantic import SecretStr
from support.events.making import body
from support.events.settled import SECRET, settings_for
from support.processes.lone_gateway import LoneGateway, lone_gateway

from bridge.gateway.app import create_app
from bridge.http.problems import Code
from telemetry import metrics

EVENTS = "/api/bridge/s1/events"
SLOW = 7.0
"""The seconds that a slow client takes."""


class Clock:
    """The clock of request durations, which advances only while a client is slow."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "perf_counter", made)
    return made


def sample(name: str, **labels: str) -> float:
    return metrics.REGISTRY.get_sample_value(name, labels) or 0.0


def told(route: str = "events") -> tuple[float, float]:
    """The count and the sum in seconds of observed requests."""
    name = "bridge_gateway_request_seconds"
    return sample(f"{name}_count", route=route), sample(f"{name}_sum", route=route)


async def unread(_message: Any) -> None:
    """A client that takes its answer immediately."""


def test_every_status_that_an_alert_counts_has_its_series_from_the_beginning() -> None:
    """`increase` misses a series' first count, so an alert would miss sixty wrong keys in one burst."""
    create_app(settings_for("127.0.0.1:1", "postgresql://nobody@127.0.0.1:1/none", "t.", secret_key=SecretStr(SECRET)))

    page = generate_latest(metrics.REGISTRY).decode()
    for route in ("events", "validate", "token", "snippet", "other"):
        for status in {202, *(code.status.value for code in Code)}:
            assert f'bridge_gateway_requests_total{{route="{route}",status="{status}"}}' in page
            assert f'bridge_gateway_server_requests_total{{status="{status}"}}' in page


async def test_a_body_that_comes_slowly_is_not_the_gateway_s_time(clock: Clock) -> None:
    """A slow client must not look like a slow gateway."""
    whole = body()
    async with lone_gateway() as gateway:

        async def rest() -> dict[str, object]:
            clock.now += SLOW
            return {"type": "http.request", "body": whole[10:], "more_body": False}

        count, seconds = told()
        await gateway.send("POST", EVENTS, gateway.visitor(), whole[:10], unread, more=rest)
        assert told() == (count + 1, seconds)
        assert len(gateway.values) == 1


async def test_servers_answers_have_a_figure_of_their_own() -> None:
    """A visitor makes its own answers slow, which pages nobody."""
    name = "bridge_gateway_server_request_seconds_count"
    async with lone_gateway() as gateway:
        before = sample(name)
        await gateway.post(gateway.visitor(), body())
        after_visitor = sample(name)
        await gateway.post(gateway.server(), body())

    assert (after_visitor, sample(name)) == (before, before + 1)


async def test_a_body_that_never_comes_is_not_the_gateway_s_time(clock: Clock) -> None:
    """The request is answered 408, or its client disconnects."""
    async with lone_gateway(gateway_body_timeout="50ms") as gateway:

        async def nothing() -> dict[str, object]:
            clock.now += SLOW
            await asyncio.Event().wait()
            raise AssertionError

        async def gone() -> dict[str, object]:
            clock.now += SLOW
            return {"type": "http.disconnect"}

        late = sample("bridge_gateway_requests_total", route="events", status="408")
        count, seconds = told()
        await gateway.send("POST", EVENTS, gateway.visitor(), b"{", unread, more=nothing)
        assert sample("bridge_gateway_requests_total", route="events", status="408") == late + 1
        await gateway.send("POST", EVENTS, gateway.visitor(), b"{", unread, more=gone)
        assert told() == (count + 2, seconds)


async def test_an_answer_that_is_read_slowly_is_not_the_gateway_s_time(clock: Clock) -> None:
    """The duration excludes slow reading on a script's route and on every other one."""

    async def slowly(_message: Any) -> None:
        clock.now += SLOW

    async with lone_gateway() as gateway:
        before = told(), told("other")
        await gateway.send("POST", EVENTS, gateway.visitor(), body(), slowly)
        await gateway.send("GET", "/openapi.json", {}, b"", slowly)
        assert [(count - 1, seconds) for count, seconds in (told(), told("other"))] == list(before)


async def test_what_the_gateway_itself_takes_is_told(clock: Clock) -> None:
    """Kafka's acknowledgement counts, for one."""
    async with lone_gateway() as gateway:
        delivery = gateway.services.publisher.delivery

        def slow(*given: Any) -> Any:
            clock.now += SLOW
            return delivery(*given)

        gateway.services.publisher.delivery = slow  # type: ignore[method-assign]
        count, seconds = told()
        await gateway.post(gateway.visitor(), body())
        assert told() == (count + 1, seconds + SLOW)


async def status_of(gateway: LoneGateway, headers: dict[str, str], status: int, path: str = EVENTS) -> float:
    """The increase of the count of requests with a key for one request that is answered `status`."""
    before = sample("bridge_gateway_server_requests_total", status=str(status))
    assert (await gateway.post(headers, body(), path=path)).status == status
    return sample("bridge_gateway_server_requests_total", status=str(status)) - before


async def test_requests_with_a_key_that_was_issued_count_as_servers() -> None:
    """Keys count when accepted, refused or revoked; visitors and unknown keys never do."""
    async with lone_gateway() as gateway:
        assert await status_of(gateway, gateway.server(), 202) == 1
        assert await status_of(gateway, gateway.visitor(), 202) == 0
        assert await status_of(gateway, {}, 401) == 0
        assert await status_of(gateway, {"authorization": "Bearer sk_nobody"}, 401) == 0
        assert await status_of(gateway, gateway.server("s2"), 403) == 1
        assert await status_of(gateway, gateway.visitor("s2"), 403) == 0
        known = gateway.services.producers
        known.keys = {name: key._replace(revoked=True) for name, key in known.keys.items()}
        assert await status_of(gateway, gateway.server(), 401) == 1
