"""The worker's membership of its consumer group, also while it has no partitions."""

import asyncio
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from schemas.errors import InvariantViolation

LOOK_SECONDS: Final = 1.0
_TOLD_SECONDS: Final = 60.0

log = structlog.get_logger(__name__)


async def stay_member(consumer: AIOKafkaConsumer) -> None:
    """Let the Kafka client try again to join its group after each error, until cancelled.

    The client stops at an error until somebody reads. A worker that waits for its partitions reads nothing, so that an
    error that passes, such as one while another program is in the group, would keep it out of the group for ever.

    Raises InvariantViolation if the client has given up. Nothing but a restart of the worker helps then.
    """
    coordinator, told_at = consumer._coordinator, float("-inf")  # noqa: SLF001  # aiokafka has no public access to it
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            coordinator.check_errors()
        except KafkaError as error:
            if coordinator._coordination_task.done():  # noqa: SLF001  # as above
                raise InvariantViolation(f"the Kafka client no longer takes part in its group: {error}") from error
            now = asyncio.get_running_loop().time()
            if now - told_at >= _TOLD_SECONDS:
                told_at = now
                log.warning("group_not_joined", error=f"{type(error).__name__}: {error}", retry_seconds=LOOK_SECONDS)
