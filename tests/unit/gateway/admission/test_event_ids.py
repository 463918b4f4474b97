"""Ids under an Idempotency-Key, by the routes of several gateways that share nothing but their secret."""

import uuid
from collections.abc import AsyncIterator

import pytest
from support.processes.lone_gateway import LoneGateway, lone_gateway

BODY = b'[{"event_type":"a"},{"event_type":"b","event_id":"own"},{"event_type":"a"}]'


@pytest.fixture
async def gateways() -> AsyncIterator[list[LoneGateway]]:
    """Two gateways of one installation."""
    async with lone_gateway() as one, lone_gateway() as other:
        yield [one, other]


async def ids(gateway: LoneGateway, headers: dict[str, str], body: bytes = BODY, script: str = "s1") -> list[str]:
    """The ids that the gateway's answer names."""
    answer = await gateway.post(headers, body, path=f"/api/bridge/{script}/events")
    assert answer.status == 202, answer.content
    return [one["event_id"] for one in answer.json()["results"]]


@pytest.mark.parametrize("sender", ["server", "visitor"])
async def test_all_processes_assign_the_same_ids_to_a_request(gateways: list[LoneGateway], sender: str) -> None:
    """A request that another process receives again counts once. Each process assigned ids of its own."""
    first, second = [
        await ids(one, (one.server() if sender == "server" else one.visitor()) | {"idempotency-key": "k"})
        for one in gateways
    ]

    assert first == second
    assert (len(set(first)), first[1]) == (3, "own")
    assert {uuid.UUID(one).version for one in (first[0], first[2])} == {8}


async def test_another_request_gets_other_ids(gateways: list[LoneGateway]) -> None:
    """It differs in the key, the body, the script or the sender class; or it has no key at all."""
    one, other = gateways
    server = one.server() | {"idempotency-key": "k"}
    bodies = (BODY, BODY.replace(b'"a"', b'"c"'), BODY + b" ")
    found = [
        await ids(one, server),
        *[await ids(other, other.server() | {"idempotency-key": f"k{n}"}, body) for n, body in enumerate(bodies)],
        await ids(other, other.server("s2") | {"idempotency-key": "k"}, script="s2"),
        await ids(other, other.visitor() | {"idempotency-key": "k"}),
        *[await ids(each, each.server()) for each in (one, other, other)],
    ]
    # A process that has not seen the key does not know that it was used with another body.
    async with lone_gateway() as third:
        found.append(await ids(third, third.server() | {"idempotency-key": "k"}, bodies[1]))

    assigned = [each for some in found for each in (some[0], some[2])]
    assert len(set(assigned)) == len(assigned)
