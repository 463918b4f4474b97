"""SIGTERM while Kafka does not answer: the worker drains what it can and exits within its grace period."""

import asyncio
import signal
import time

from support.events.settled import environment_of, produce
from support.infrastructure.servers import stack_directory
from support.processes.command import start
from support.wait import wait_until

from schemas.config.settings import Settings
from sinks.postgres.connection import connection
from tools.faults.servers import prepared_servers

MOST_SECONDS = 45.0
"""Less than the minute after which Kubernetes and Compose kill the worker."""


async def settled(settings: Settings) -> bool:
    async with connection(settings.dsn, "test") as conn:
        return bool(await conn.fetchval("SELECT count(*) FROM bridge_event_raw"))


async def test_a_worker_is_told_to_end_while_kafka_is_frozen() -> None:
    """The worker exits in time although a frozen broker accepts connections and answers nothing.

    Faust's own clients would first wait for their time-outs.
    """
    with stack_directory() as directory:
        async with prepared_servers(directory, "drain.") as (servers, settings):
            await produce(settings, [b"{"])
            with start("worker", settings=environment_of(settings), quiet=True) as worker:
                await wait_until(lambda: settled(settings), budget_seconds=60, describe="an event settled")
                servers.signal("kafka", signal.SIGSTOP)
                try:
                    began = time.monotonic()
                    worker.terminate()
                    code = await asyncio.to_thread(worker.wait, 120)
                    seconds = time.monotonic() - began
                finally:
                    servers.signal("kafka", signal.SIGCONT)
    assert code == 0
    assert seconds < MOST_SECONDS, seconds
