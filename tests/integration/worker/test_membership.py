"""A worker that could not join its consumer group joins once it can, and ends if its Kafka client has given up."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import InconsistentGroupProtocolError
from structlog.testing import capture_logs
from support.events.settled import event, fetch, prepare, produce, settings_for, working
from support.wait import wait_until

from schemas.errors import InvariantViolation


async def test_a_worker_joins_once_another_program_has_left_its_group(stack, database_url, topic_prefix) -> None:
    """That program divides partitions by another rule, so that the worker may not join beside it."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    await produce(settings, [event(1)])
    other = AIOKafkaConsumer(
        settings.topics.raw, bootstrap_servers=stack.kafka, group_id=settings.group,
        partition_assignment_strategy=(RangePartitionAssignor,),
    )  # fmt: skip
    await other.start()
    with capture_logs() as logs:
        async with working(settings):
            refused = InconsistentGroupProtocolError.__name__
            await wait_until(
                lambda: any(one["event"] == "group_not_joined" and refused in one["error"] for one in logs),
                budget_seconds=60, describe="the refusal",
            )  # fmt: skip
            await other.stop()

            async def is_row() -> bool:
                return bool(await fetch(settings, "SELECT 1 FROM bridge_event"))

            await wait_until(is_row, budget_seconds=60, describe="the row of the event")


async def test_a_worker_whose_client_has_given_up_ends(stack, database_url, topic_prefix, monkeypatch) -> None:
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)

    async def broken(*_: object) -> None:
        raise AssertionError("a defect of the client")

    async def until_it_ends() -> None:
        async with working(settings) as worker:
            coordinator = worker._consumer._coordinator
            monkeypatch.setattr(coordinator, "ensure_active_group", broken)
            coordinator.request_rejoin()
            await asyncio.wait([worker.failed], timeout=60)

    with pytest.raises(InvariantViolation, match="no longer takes part in its group"):
        await until_it_ends()
