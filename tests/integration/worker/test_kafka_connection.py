"""A reset connection is a Kafka error that the client survives, also under uvloop, on which workers run."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import uvloop
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from sinks.kafka.connection import name_closed_connections


async def _written_to_a_closed_connection(kafka: str) -> BaseException | None:
    """The error of a client that writes after the reset and before its reader notices it."""
    client = AIOKafkaClient(bootstrap_servers=kafka)
    await client.bootstrap()
    try:
        connection = await client._get_conn(next(iter(client.cluster.brokers())).nodeId)
        connection._writer.transport.abort()
        # One turn of the loop closes the socket; the task that reads from it wakes only in the next turn.
        await asyncio.sleep(0)
        try:
            await connection.send(MetadataRequest([]))
        except (KafkaError, RuntimeError) as error:
            return error
        return None
    finally:
        await client.close()


def test_a_closed_connection_is_kafkas_error(stack) -> None:
    """A closed connection raises KafkaConnectionError, which aiokafka's tasks survive; any other error ends them."""
    name_closed_connections()
    with ThreadPoolExecutor(max_workers=1) as apart:
        error = apart.submit(uvloop.run, _written_to_a_closed_connection(stack.kafka)).result()

    assert isinstance(error, KafkaConnectionError)
