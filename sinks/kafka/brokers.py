"""Requests that any broker can answer, which the next broker answers when one is away; and which brokers there are."""

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
"""What aiokafka raises when the broker that it asks is away, however well the others are."""

_NAMED_SECONDS: Final = 0.1
"""How often metadata without a broker are asked for again."""

log = structlog.get_logger(__name__)


async def ask_any_broker(client: AIOKafkaClient, request: Any, first: int | None = None) -> Any:
    """The answer of a broker to a request that any of them can answer; raises KafkaError when none does.

    The metadata name a broker that died until the controller has missed it, for ten seconds or so. `first` is the id of
    the one to begin with; the others come in random order, those with an open connection before the rest.
    """
    nodes = await _named(client)
    random.shuffle(nodes)
    connected = {node for (node, _), connection in client._conns.items() if connection.connected()}  # noqa: SLF001  # aiokafka tells nobody
    nodes.sort(key=lambda node: (node != first, node not in connected))
    problem: Exception = NodeNotReadyError()
    for node in nodes:
        try:
            return await client.send(node, request)
        except (*AWAY, NotControllerError) as error:
            problem = error
    raise problem


async def _named(client: AIOKafkaClient) -> list[int]:
    """The ids of all brokers, once there are any; raises NodeNotReadyError after as long as a request may take.

    A broker that the controller has not heard from for a while is named by none, and a lone one not even by itself.
    """
    deadline = time.monotonic() + client._request_timeout_ms / 1000  # noqa: SLF001  # aiokafka tells nobody
    while not (brokers := client.cluster.brokers()):
        if time.monotonic() >= deadline:
            raise NodeNotReadyError("Kafka names no broker")
        if not await client.force_metadata_update():
            await asyncio.sleep(_NAMED_SECONDS)
    return [broker.nodeId for broker in brokers]


class AdminClient(AIOKafkaAdminClient):  # type: ignore[misc]  # aiokafka is untyped
    """aiokafka's admin client, which asks one random broker and gives up with it, made to ask them all."""

    async def _send_request(self, request: Any, node_id: int | None = None) -> Any:
        if node_id is not None:
            return await self._client.send(node_id, request)
        return await ask_any_broker(self._client, request)

    async def _send_to_controller(self, request: Any) -> Any:
        """With KRaft each broker passes on to the controller what is the controller's."""
        controller = self._client.cluster.controller
        return await ask_any_broker(self._client, request, None if controller is None else controller.nodeId)


class BrokerLog:
    """Logs which brokers Kafka has lost and got back, and how many there are: a line of a client names only its own."""

    def __init__(self) -> None:
        self._known: frozenset[int] = frozenset()

    def follow(self, cluster: ClusterMetadata) -> None:
        """Logs whenever the metadata of a client show other brokers than before."""
        cluster.add_listener(self.seen)

    def seen(self, cluster: ClusterMetadata) -> None:
        """Compares the brokers of these metadata with the last ones; ids that only came later are no news."""
        now = frozenset(broker.nodeId for broker in cluster.brokers())
        if lost := sorted(self._known - now):
            log.warning("brokers_lost", brokers=lost, left=len(now))
        elif self._known and (found := sorted(now - self._known)):
            log.info("brokers_back", brokers=found, left=len(now))
        self._known = now
