"""Requests that any broker can answer, and log lines about lost and regained brokers.

If the broker that gets a request is away, the next broker gets it.
"""

import asyncio
import random
import time
from typing import Any, Final

import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import (
    KafkaConnectionError,
    NodeNotReadyError,
    NotControllerError,
    RequestTimedOutError,
    StaleMetadata,
)

AWAY: Final = (KafkaConnectionError, NodeNotReadyError, RequestTimedOutError, StaleMetadata)
"""Errors that aiokafka raises when the asked broker is away. Other brokers may still be available."""

_NAMED_SECONDS: Final = 0.1
"""Delay, in seconds, between requests for metadata while the metadata list no broker."""

log = structlog.get_logger(__name__)


async def ask_any_broker(client: AIOKafkaClient, request: Any, first: int | None = None) -> Any:
    """Send a request that any broker can answer, and return the answer; raises KafkaError when no broker answers.

    Kafka's metadata list a failed broker until the controller has noticed the failure, which takes about ten seconds.
    `first` is the id of the broker to ask first. The other brokers follow in random order, those with an open
    connection before the rest.
    """
    nodes = await _named(client)
    random.shuffle(nodes)
    connected = {node for (node, _), connection in client._conns.items() if connection.connected()}  # noqa: SLF001  # no public access
    nodes.sort(key=lambda node: (node != first, node not in connected))
    problem: Exception = NodeNotReadyError()
    for node in nodes:
        try:
            return await client.send(node, request)
        except (*AWAY, NotControllerError) as error:
            problem = error
    raise problem


async def _named(client: AIOKafkaClient) -> list[int]:
    """Return the ids of all brokers; wait while Kafka's metadata list no broker.

    Raises NodeNotReadyError after the time-out of a request.

    Metadata list only brokers that the controller has heard from. A single broker may therefore not even list itself.
    """
    deadline = time.monotonic() + client._request_timeout_ms / 1000  # noqa: SLF001  # no public access
    while not (brokers := client.cluster.brokers()):
        if time.monotonic() >= deadline:
            raise NodeNotReadyError("Kafka's metadata list no broker")
        if not await client.force_metadata_update():
            await asyncio.sleep(_NAMED_SECONDS)
    return [broker.nodeId for broker in brokers]


class AdminClient(AIOKafkaAdminClient):  # type: ignore[misc]  # aiokafka is untyped
    """aiokafka's admin client, but a request goes to each broker in turn until one answers, not to a random one."""

    async def _send_request(self, request: Any, node_id: int | None = None) -> Any:
        if node_id is not None:
            return await self._client.send(node_id, request)
        return await ask_any_broker(self._client, request)

    async def _send_to_controller(self, request: Any) -> Any:
        """Send the request to the controller first.

        With KRaft any other broker forwards the request to the controller.
        """
        controller = self._client.cluster.controller
        return await ask_any_broker(self._client, request, None if controller is None else controller.nodeId)


class BrokerLog:
    """Log lines about brokers that Kafka has lost and regained, with the number of brokers that remain.

    A client's own log names only the broker that the client is connected to. `seen` is a listener for the client's
    metadata.
    """

    def __init__(self) -> None:
        self._known: frozenset[int] = frozenset()

    def seen(self, cluster: ClusterMetadata) -> None:
        """Log the differences between the brokers in these metadata and those in the metadata of the previous call.

        The first call logs nothing.
        """
        now = frozenset(broker.nodeId for broker in cluster.brokers())
        if lost := sorted(self._known - now):
            log.warning("brokers_lost", brokers=lost, left=len(now))
        elif self._known and (found := sorted(now - self._known)):
            log.info("brokers_back", brokers=found, left=len(now))
        self._known = now
