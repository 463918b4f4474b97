"""Requests that any broker can answer succeed while one is down, and lost brokers are logged."""

from collections.abc import Mapping
from types import SimpleNamespace

import pytest
from aiokafka.errors import KafkaConnectionError, NodeNotReadyError, TopicAuthorizationFailedError
from structlog.testing import capture_logs

from sinks.kafka.brokers import AdminClient, BrokerLog, ask_any_broker


class Client:
    """aiokafka's client with each broker's answer or error by id; `connected` have an open connection.

    The metadata list no broker for the first `unnamed` requests.
    """

    def __init__(
        self, brokers: Mapping[int, object], connected: tuple[int, ...] = (), controller: int = 1, unnamed: int = 0
    ) -> None:
        self._brokers = brokers
        self._request_timeout_ms = 300
        self.unnamed = unnamed
        self.asked: list[int] = []
        self.cluster = SimpleNamespace(
            brokers=lambda: [] if self.unnamed > 0 else [SimpleNamespace(nodeId=node) for node in brokers],
            controller=SimpleNamespace(nodeId=controller),
        )
        self._conns = {(node, 0): SimpleNamespace(connected=lambda: True) for node in connected}

    async def force_metadata_update(self) -> bool:
        self.unnamed -= 1
        return self.unnamed <= 0

    async def send(self, node: int, _request: object) -> object:
        self.asked.append(node)
        answer = self._brokers[node]
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize("away", [NodeNotReadyError("away"), KafkaConnectionError("reset")])
async def test_a_broker_that_is_away_is_passed_over(away: Exception) -> None:
    """Two of three brokers are healthy, and the order does not matter."""
    for _ in range(20):
        assert await ask_any_broker(Client({1: away, 2: "answer", 3: "answer"}), "request") == "answer"


async def test_brokers_with_an_open_connection_are_asked_first() -> None:
    """Connected brokers have answered before."""
    for _ in range(10):
        client = Client({1: "answer", 2: "answer", 3: "answer"}, connected=(3,))
        await ask_any_broker(client, "request")
        assert client.asked == [3]


async def test_all_brokers_away_is_an_outage() -> None:
    """Each broker gets one request."""
    client = Client({1: NodeNotReadyError("away"), 2: NodeNotReadyError("away")})
    with pytest.raises(NodeNotReadyError):
        await ask_any_broker(client, "request")
    assert sorted(client.asked) == [1, 2]


async def test_a_lone_broker_that_the_controller_has_missed_is_waited_for() -> None:
    """The metadata list it again after its next heartbeat."""
    assert await ask_any_broker(Client({1: "answer"}, unnamed=2), "request") == "answer"
    with pytest.raises(NodeNotReadyError, match="metadata list no broker"):
        await ask_any_broker(Client({1: "answer"}, unnamed=1000), "request")


async def test_a_refusal_is_an_answer() -> None:
    """Another broker would refuse as well."""
    client = Client({1: TopicAuthorizationFailedError("no"), 2: TopicAuthorizationFailedError("no")})
    with pytest.raises(TopicAuthorizationFailedError):
        await ask_any_broker(client, "request")
    assert len(client.asked) == 1


async def test_the_admin_client_asks_another_broker_too() -> None:
    """Requests that a broker forwards to the controller go to another broker too."""
    admin = AdminClient(bootstrap_servers="127.0.0.1:1")
    admin._client = Client({1: NodeNotReadyError("away"), 2: "answer"}, controller=1)
    assert await admin._send_request("request") == "answer"
    assert await admin._send_to_controller("request") == "answer"


def test_brokers_that_are_lost_are_told_with_how_many_are_left() -> None:
    """Each loss is logged once, and the first metadata log nothing."""
    told = BrokerLog()
    with capture_logs() as lines:
        for known in ([1, 2, 3], [1, 2, 3], [1, 3], [1, 3], [1, 2, 3]):
            told.seen(SimpleNamespace(brokers=lambda known=known: [SimpleNamespace(nodeId=node) for node in known]))
    assert lines == [
        {"event": "brokers_lost", "brokers": [2], "left": 2, "log_level": "warning"},
        {"event": "brokers_back", "brokers": [2], "left": 3, "log_level": "info"},
    ]
