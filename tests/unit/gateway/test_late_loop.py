"""A late event loop: what its senders did not cause is no time-out of Kafka."""

import asyncio

import pytest
from support.processes.lone_gateway import LoneGateway, lone_gateway

from bridge.gateway.admission.access import Grant
from bridge.gateway.admission.shares import shares_of
from bridge.gateway.delivery import Delivery
from bridge.gateway.loop_time import LoopTime
from bridge.http.byte_budget import ByteBudget
from schemas.pipeline.registry import Script
from telemetry import metrics

SECONDS = 0.3


def late() -> None:
    """Occupy the loop for longer than the time-out."""
    ends = asyncio.get_running_loop().time() + 2 * SECONDS
    while asyncio.get_running_loop().time() < ends:
        pass


def delivery(clock: LoopTime) -> Delivery:
    """The delivery of one record that Kafka has not acknowledged."""
    made = Delivery(("s",), ByteBudget("bytes", 1000, 8).holding((("s", 1.0),), 1), clock)
    with made:
        made.joins()
    return made


async def test_a_time_out_that_passes_in_the_loop_is_none_of_kafka() -> None:
    """The acknowledgement has arrived meanwhile, and is read next."""
    made = delivery(LoopTime())
    waiting = asyncio.create_task(made.acknowledged(SECONDS))
    await asyncio.sleep(0)
    late()
    # To read an answer of Kafka takes some iterations.
    for _ in range(5):
        await asyncio.sleep(0)
    made.settled(1, None)

    assert await waiting


async def test_a_time_out_ends_where_the_loop_is_not_late() -> None:
    made = delivery(LoopTime())
    began = asyncio.get_running_loop().time()
    assert not await made.acknowledged(SECONDS)

    assert asyncio.get_running_loop().time() - began == pytest.approx(SECONDS, abs=2.0)


EVENT = b'{"event_id":"1","event_type":"click"}'
MOST = 40


def crowded() -> float:
    return metrics.REGISTRY.get_sample_value("bridge_gateway_server_crowded_total") or 0.0


async def statuses(gateway: LoneGateway, in_flight: int) -> tuple[int, float]:
    """The status of a server's post while others of it are in flight, and by how much the counter of the crowded grew."""
    before = crowded()
    shares = shares_of(Grant(Script("s1", 1, 1, True), None), "", is_late=True)
    with gateway.services.requests.holding(shares, in_flight):
        status = (await gateway.post(gateway.server(), EVENT)).status
    return status, crowded() - before


@pytest.mark.parametrize(
    ("seconds", "in_flight", "expected"),
    [(0.1, MOST // 4, (429, 0)), (2.0, MOST // 4, (202, 0)), (2.0, 3 * MOST // 8, (429, 1))],
    ids=["not late", "late", "late and full"],
)
async def test_a_late_gateway_refuses_no_servers_for_its_waiting_requests(
    seconds: float, in_flight: int, expected: tuple[int, float]
) -> None:
    """Its share is larger then, and what is refused beyond it causes no alert on its rate."""
    async with lone_gateway(gateway_max_requests=MOST) as gateway:
        gateway.services.lateness.answered(seconds)
        found = await statuses(gateway, in_flight)

    assert found == expected
