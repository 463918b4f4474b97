"""Limits that senders share: what some of them use, or owe, leaves the others their part."""

import asyncio
import gzip
import json
import time

import pytest
from support.processes.lone_gateway import LoneGateway, lone_gateway

from bridge.gateway.admission.access import Grant
from bridge.gateway.admission.rate_limits import Bill, RateLimits
from schemas.pipeline.registry import Script
from schemas.pipeline.sender import Sender
from streams.rules.event_weight import weight

VALIDATE = "/api/bridge/s1/events:validate"
SPLIT_FOR_LONG = b'{"a":"' + b'"' * 65_000 + b"}"
"""A line that is no JSON, and takes milliseconds to read."""


class Clock:
    """The rate limits' clock."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def limits_of(gateway: LoneGateway, clock: Clock) -> RateLimits:
    """The gateway's rate limits with that clock."""
    made = gateway.services.rate_limits = RateLimits(gateway.services.settings, clock)
    return made


def events(count: int, version: int = 1) -> list[bytes]:
    """So many events."""
    event = {"event_type": "click", "occurred_at": time.time_ns() // 1_000_000, "schema_version": version}
    return [json.dumps(event).encode()] * count


async def test_retried_events_of_many_visitors_refuse_others_for_no_longer_than_a_flood_does() -> None:
    """Their cost is asked for before they are let through, also where all requests are admitted at once."""
    clock = Clock()
    async with lone_gateway() as gateway:
        limits = limits_of(gateway, clock).of(Sender.VISITOR)
        body = b"\n".join([*events(60, version=99), *[SPLIT_FOR_LONG] * 4])
        lines = {"content-type": "application/x-ndjson"}
        await asyncio.gather(
            *(
                gateway.post(
                    gateway.visitor(script) | lines,
                    body,
                    path=f"/api/bridge/{script}/events",
                    address=f"10.0.0.{number}",
                )
                for number in range(16)
                for script in ("s1", "s2")
            )
        )
        other = gateway.visitor("s2")
        # An office of many visitors, which has used more than the reserve is for.
        limits.visitors_events.charge("visitors", "10.0.1.1", 600)
        clock.now = 2.0
        late = await gateway.post(other, b"\n".join(events(1)), path="/api/bridge/s2/events", address="10.0.1.1")

    assert late.status == 202


async def test_visitors_bytes_of_few_addresses_leave_those_of_others() -> None:
    """Compressed bodies use up a script's bytes at little cost to their senders."""
    clock = Clock()
    async with lone_gateway(gateway_script_bytes_per_second=1024 * 1024) as gateway:
        limits_of(gateway, clock)
        bomb = gzip.compress(b'{"a":' + b" " * 250_000 + b"1}")
        sends = gateway.visitor() | {"content-encoding": "gzip"}
        answers = []
        for number in range(64):
            answers.append((await gateway.post(sends, bomb, address=f"10.0.0.{number % 16}")).status)
            clock.now += 1 / 32
        late = await gateway.post(gateway.visitor(), b"\n".join(events(1)), address="10.0.1.1")
        one_of_them = await gateway.post(gateway.visitor(), b"\n".join(events(1)), address="10.0.0.1")

    assert answers.count(429) > 30
    assert (late.status, one_of_them.status) == (202, 429)


async def test_visitors_events_of_few_addresses_leave_those_of_others_of_their_script() -> None:
    """The last quarter of a script's events is for addresses that have sent little."""
    clock = Clock()
    async with lone_gateway(gateway_script_events_per_second=400) as gateway:
        limits_of(gateway, clock)
        body = b"[" + b",".join(events(50)) + b"]"
        many = [
            (await gateway.post(gateway.visitor(), body, address=f"10.0.0.{number % 8}")).status for number in range(40)
        ]
        late = await gateway.post(gateway.visitor(), b"[" + events(1)[0] + b"]", address="10.0.1.1")

    assert many.count(202) == 12
    assert late.status == 202


async def test_what_one_visitor_validates_leaves_others_their_part() -> None:
    """One body may weigh many times the rate."""
    clock = Clock()
    async with lone_gateway() as gateway:
        limits_of(gateway, clock)
        heavy = b'{"k": [' + b"[]," * 20_000 + b"1]}"
        first = await gateway.post(
            gateway.visitor(), b"[" + b",".join([heavy] * 8) + b"]", path=VALIDATE, address="10.0.0.1"
        )
        late = await gateway.post(gateway.visitor(), events(1)[0], path=VALIDATE, address="10.0.1.1")

    assert (first.status, late.status) == (200, 200)


async def test_servers_of_an_organisation_share_its_limit_over_all_scripts() -> None:
    """More scripts are no more events; another organisation's and visitors' limits are their own."""
    clock = Clock()
    async with lone_gateway(gateway_org_events_per_second=50) as gateway:
        limits = limits_of(gateway, clock)
        body = b"[" + b",".join(events(100)) + b"]"
        first = await gateway.post(gateway.server("s1"), body)
        second = await gateway.post(gateway.server("s2"), body, path="/api/bridge/s2/events")
        visitor = await gateway.post(gateway.visitor("s2"), body, path="/api/bridge/s2/events")
        limits.of(Sender.SERVER).events_of(Script("s3", 3, 2, True), "9.9.9.9").take(100)
        limits.of(Sender.SERVER).events_of(Script("s4", 4, None, True), "9.9.9.9").take(100)

    assert (first.status, second.status, visitor.status) == (202, 429, 202)
    assert second.json()["detail"] == "events of one organisation, servers: 50 a second"


@pytest.mark.parametrize("path", ["/api/bridge/s1/events", VALIDATE])
async def test_a_body_that_is_refused_while_it_is_split_counts_as_its_weight(path: str) -> None:
    """Marks and bytes cost the same whether there are events in them."""
    clock = Clock()
    async with lone_gateway() as gateway:
        of_visitors = limits_of(gateway, clock).of(Sender.VISITOR)
        counted = of_visitors.validated if path == VALIDATE else of_visitors.events
        full = counted.level("s1")
        body = b"[" + b'"' * 130_000
        answer = await gateway.post(gateway.visitor(), body, path=path)

        assert answer.status == 400
        assert full - counted.level("s1") == weight(body) == 32


async def test_bodies_that_are_refused_while_they_are_split_owe_nothing() -> None:
    """Their weight is asked for before, so that one address can't use up what larger senders of other scripts need."""
    clock = Clock()
    async with lone_gateway() as gateway:
        limits = limits_of(gateway, clock).of(Sender.VISITOR)
        heavy = b"[" * 1_000_000
        statuses = [(await gateway.post(gateway.visitor(), heavy)).status for _ in range(20)]
        limits.visitors_events.charge("visitors", "10.0.1.1", 600)
        office = await gateway.post(
            gateway.visitor("s2"), events(1)[0], path="/api/bridge/s2/events", address="10.0.1.1"
        )

    assert set(statuses) == {400, 429}
    assert office.status == 202


async def test_script_that_used_all_of_the_time_is_served_at_once_again_within_seconds() -> None:
    """The debt is capped, because no refusal limits it."""
    now = 0.0
    async with lone_gateway() as gateway:
        rate_limits = RateLimits(gateway.services.settings, lambda: now)
        own = Bill(rate_limits, Grant(Script("s1", 1, 1, True), None), "9.9.9.9")
        for second in range(600):
            now = float(second)
            own.charge_time(1.0)
        assert own.exceeds_time
        now += 2.1
        assert not own.exceeds_time
        own.owes_nothing()
