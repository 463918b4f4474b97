"""Floods that are cheap to send: operators' pages, refused bodies, invented versions, and a script's visitors."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from support.processes.lone_gateway import LoneGateway, lone_gateway
from support.processor_time import Clock

from bridge.gateway.admission import line
from bridge.gateway.admission.access import Grant
from bridge.gateway.admission.line import Line
from bridge.gateway.admission.rate_limits import Bill
from bridge.gateway.admission.shares import shares_of
from schemas.pipeline.registry import Script


@pytest.fixture
async def gateway() -> AsyncIterator[LoneGateway]:
    async with lone_gateway() as made:
        yield made


@pytest.mark.parametrize("path", ["/metrics", "/openapi.json"])
async def test_flood_of_pages_is_refused_by_address(path: str) -> None:
    """The public port's pages cost an address more than a script's routes; other addresses are answered."""
    async with lone_gateway(gateway_address_requests_per_second=5) as gateway:
        statuses = [(await gateway.ask("GET", path)).status for _ in range(10)]
        other = await gateway.ask("GET", path, address="8.8.8.8")

    assert statuses[0] == other.status == 200
    assert statuses.count(429) >= 5


async def test_flood_of_probes_is_refused_by_address() -> None:
    """Liveness is cheap and still limited."""
    async with lone_gateway(gateway_address_requests_per_second=5) as gateway:
        statuses = [(await gateway.ask("GET", "/health")).status for _ in range(60)]

    assert set(statuses[:10]) == {200}
    assert 429 in statuses


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(line, "time", made)
    return made


async def test_flood_of_refused_bodies_is_charged_for_its_time(gateway: LoneGateway, clock: Clock) -> None:
    """Requests that end in their first slice or raise are charged; waiting is not."""
    bill = Bill(gateway.services.rate_limits, Grant(Script("s1", 1, 1, True), "https://o.test"), "9.9.9.9")

    with suppress(ValueError), Line().work(bill) as work:
        clock.now += 0.003
        work.end()
        clock.now += 7.0
        work.begin()
        clock.now += 0.002
        raise ValueError("no JSON")

    assert bill._seconds == pytest.approx(0.005)


async def test_flood_of_invented_versions_is_bounded(gateway: LoneGateway) -> None:
    """A visitor's invented version costs retries and a dead letter, so it counts as a refusal."""
    event = {"event_type": "click", "occurred_at": time.time_ns() // 1_000_000, "schema_version": 99}
    body = json.dumps([event] * 100).encode()

    answer = (await gateway.post(gateway.visitor(), body)).json()
    servers = (await gateway.post(gateway.server(), body)).json()

    assert (answer["accepted"], answer["rejected"]) == (60, 40)
    assert servers["accepted"] == 100


def test_flood_of_visitors_leaves_servers_of_their_script_their_share() -> None:
    """Visitors hold nothing of the servers' share."""
    script = Script("s1", 1, 1, True)
    visitors = shares_of(Grant(script, "https://o.test"), "9.9.9.9")
    servers = shares_of(Grant(script, None), "9.9.9.9")

    assert not {name for name, _ in visitors} & {name for name, _ in servers}
