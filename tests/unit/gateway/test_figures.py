"""The gateway's metrics: series from the beginning, and slow clients and clients with a key."""

import asyncio
import time
from typing import Any

import pytest
import structlog
from prometheus_client import generate_latest
from pydantic import SecretStr
from support.events.making import body
from support.events.settled import SECRET, settings_for
from support.processes.lone_gateway import LoneGateway, lone_gateway

from bridge.gateway.admission.sender_turns import Path
from bridge.gateway.app import create_app
from bridge.http.problems import Code
from schemas.pipeline.sender import Sender
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


async def of_servers(
    gateway: LoneGateway, clock: Clock, held_by: Path, *, script: str = "s1", route: str = "events"
) -> tuple[float, float]:
    """The count and the seconds that a server's post adds to that figure, which waits SLOW s behind that sender."""
    name = "bridge_gateway_server_request_seconds"
    before, line = (sample(f"{name}_count"), sample(f"{name}_sum")), gateway.services.lines[Sender.SERVER]
    await line.take(held_by)
    path = f"/api/bridge/{script}/{route}"
    post = asyncio.create_task(gateway.post(gateway.server(script), body(), path=path))
    for _ in range(50):
        await asyncio.sleep(0)
    assert not post.done()
    clock.now += SLOW
    line.leave()
    assert (await post).status in (200, 202)
    return sample(f"{name}_count") - before[0], sample(f"{name}_sum") - before[1]


async def test_what_other_servers_let_a_server_wait_is_told(clock: Clock) -> None:
    """Such a gateway is slow."""
    async with lone_gateway() as gateway:
        assert await of_servers(gateway, clock, (Sender.SERVER, 2, "other")) == (1, SLOW)


async def test_what_an_organisation_lets_itself_wait_is_not_the_gateway_s_time(clock: Clock) -> None:
    """A customer that sends many requests at once pages nobody, also if they are of several scripts."""
    async with lone_gateway() as gateway:
        count, seconds = told()
        assert await of_servers(gateway, clock, (Sender.SERVER, 1, "s1")) == (1, 0)
        assert await of_servers(gateway, clock, (Sender.SERVER, 1, "s1"), script="s2") == (1, 0)
        # The figure of all requests has the whole time.
        assert told() == (count + 2, seconds + 2 * SLOW)


async def test_a_paused_script_is_no_error_of_the_gateway() -> None:
    """Anyone may post to it, without a token and in any number; that causes no alert and fills no log."""
    async with lone_gateway() as gateway:
        known = gateway.services.producers
        known.current["s1"] = known.current["s1"]._replace(paused=True)
        errors = sample("bridge_gateway_errors_total")
        with structlog.testing.capture_logs() as logged:
            assert (await gateway.post({}, b"{}")).json()["error_code"] == "script_paused"
        assert sample("bridge_gateway_errors_total") == errors
        assert [one for one in logged if one["event"] == "request"] == []

        gateway.services.budget.take((), gateway.services.settings.gateway_max_bytes_in_flight)
        assert (await gateway.post(gateway.server("s2"), b"{}", path=EVENTS.replace("s1", "s2"))).status == 503
        assert sample("bridge_gateway_errors_total") == errors + 1


async def test_what_a_server_validates_is_not_the_gateway_s_time(clock: Clock) -> None:
    """It chooses how long its events take to check, and the stream does not wait for them."""
    async with lone_gateway() as gateway:
        assert await of_servers(gateway, clock, (Sender.SERVER, 2, "other"), route="events:validate") == (0, 0)


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
