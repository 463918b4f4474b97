"""Requests that any broker can answer, sent to the next broker when one is away; and changes of the brokers."""

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
"""Errors of aiokafka when the broker that it asks is away, even if the others are available."""

_NAMED_SECONDS: Final = 0.1
"""Delay between requests for metadata while they list no broker, in seconds."""

log = structlog.get_logger(__name__)


async def ask_any_broker(client: AIOKafkaClient, request: Any, first: int | None = None) -> Any:
    """Return the answer of a broker to a request that any of them can answer; raises KafkaError when none answers.

    The metadata list a failed broker until the controller has noticed, for about ten seconds. `first` is the id of the
    one to ask first; the others follow in random order, those with an open connection before the rest.
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
    """Return the ids of all brokers, once there are any; raises NodeNotReadyError after a request's time-out.

    A broker that the controller has not heard from is listed by none, and a single one not even by itself.
    """
    deadline = time.monotonic() + client._request_timeout_ms / 1000  # noqa: SLF001  # no public access
    while not (brokers := client.cluster.brokers()):
        if time.monotonic() >= deadline:
            raise NodeNotReadyError("Kafka names no broker")
        if not await client.force_metadata_update():
            await asyncio.sleep(_NAMED_SECONDS)
    return [broker.nodeId for broker in brokers]


class AdminClient(AIOKafkaAdminClient):  # type: ignore[misc]  # aiokafka is untyped
    """aiokafka's admin client, which asks one random broker only, changed to ask each broker in turn."""

    async def _send_request(self, request: Any, node_id: int | None = None) -> Any:
        if node_id is not None:
            return await self._client.send(node_id, request)
        return await ask_any_broker(self._client, request)

    async def _send_to_controller(self, request: Any) -> Any:
        """Send to the controller first; with KRaft each broker forwards the controller's requests to it."""
        controller = self._client.cluster.controller
        return await ask_any_broker(self._client, request, None if controller is None else controller.nodeId)


class BrokerLog:
    """Logs which brokers Kafka has lost and regained, and how many remain: a client's log names only its own broker."""

    def __init__(self) -> None:
        self._known: frozenset[int] = frozenset()

    def follow(self, cluster: ClusterMetadata) -> None:
        """Log each change of the brokers in a client's metadata."""
        cluster.add_listener(self.seen)

    def seen(self, cluster: ClusterMetadata) -> None:
        """Compare the brokers of these metadata with the last ones; the first metadata are not logged."""
        now = frozenset(broker.nodeId for broker in cluster.brokers())
        if lost := sorted(self._known - now):
            log.warning("brokers_lost", brokers=lost, left=len(now))
        elif self._known and (found := sorted(now - self._known)):
            log.info("brokers_back", brokers=found, left=len(now))
        self._known = now
