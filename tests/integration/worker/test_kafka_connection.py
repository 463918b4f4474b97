"""A connection that was reset is an outage for the client, not its end: under uvloop, which workers run on."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import uvloop
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from sinks.kafka.connection import name_closed_connections


async def _written_to_a_closed_connection(kafka: str) -> BaseException | None:
    """What a client raises that writes in the instant between the reset and its being told."""
    client = AIOKafkaClient(bootstrap_servers=kafka)
    await client.bootstrap()
    try:
        connection = await client._get_conn(next(iter(client.cluster.brokers())).nodeId)
        connection._writer.transport.abort()
        # One turn of the loop: the socket is closed by then, and the task that reads from it is woken by the next.
        await asyncio.sleep(0)
        try:
            await connection.send(MetadataRequest([]))
        except (KafkaError, RuntimeError) as error:
            return error
        return None
    finally:
        await client.close()


def test_a_closed_connection_is_kafkas_error(stack) -> None:
    """aiokafka's tasks survive this one; any other ends them, and with them the worker."""
    name_closed_connections()
    with ThreadPoolExecutor(max_workers=1) as apart:
        error = apart.submit(uvloop.run, _written_to_a_closed_connection(stack.kafka)).result()

    assert isinstance(error, KafkaConnectionError)
