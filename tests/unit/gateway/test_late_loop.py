"""A late event loop: what its senders did not cause is no time-out of Kafka."""

import asyncio

import pytest

from bridge.gateway.delivery import Delivery
from bridge.gateway.loop_time import LoopTime
from bridge.http.byte_budget import ByteBudget

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
