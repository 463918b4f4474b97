"""The product's producers: what their errors mean, and how they begin and end."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError, KafkaError, MessageSizeTooLargeError
from support.virtual_time import run_virtually

from schemas.config.settings import Settings
from schemas.errors import PreconditionFailed, SinkUnavailable
from sinks.kafka.producer import PUBLISH_SECONDS, acknowledging, close, connect, raise_outage

SETTINGS = Settings(kafka_bootstrap_servers="nowhere:1")  # type: ignore[call-arg]  # the other settings have defaults


class Client:
    """A client, or a producer's sender, whose `close` may raise."""

    def __init__(self, producer: "Producer", name: str) -> None:
        self._producer = producer
        self._name = name

    async def close(self) -> None:
        await self._producer.step(self._name)

    async def fetch_all_metadata(self) -> "Client":
        await self._producer.step("metadata")
        return self

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return {0} if topic == "there" else None


class Producer:
    """A producer that notes its steps; `failing` has the work of some of them."""

    def __init__(self, **failing: Callable[[], Any]) -> None:
        self._failing = failing
        self._sender = Client(self, "sender")
        self.client = Client(self, "client")
        self.steps: list[str] = []

    async def step(self, name: str) -> None:
        self.steps.append(name)
        if name in self._failing:
            await self._failing[name]()

    async def start(self) -> None:
        await self.step("start")

    async def partitions_for(self, _topic: str) -> set[int]:
        return {2, 0, 1}

    async def stop(self) -> None:
        await self.step("stop")


async def away() -> None:
    raise KafkaConnectionError("nobody there")


async def silent() -> None:
    await asyncio.Event().wait()


def test_a_connected_producer_has_the_topics_partitions() -> None:
    """In their order."""
    producer = Producer()
    assert run_virtually(connect(SETTINGS, producer, "there")) == [0, 1, 2]
    assert producer.steps == ["start", "metadata"]


@pytest.mark.parametrize(
    ("failing", "topic", "says"),
    [
        ({"start": away}, "there", "Kafka at nowhere:1 does not answer"),
        ({"start": silent}, "there", "Kafka at nowhere:1 does not answer"),
        ({"metadata": away}, "there", "Kafka at nowhere:1 does not answer"),
        ({}, "missing", "Kafka at nowhere:1 has no topic missing: run `bridge topics apply`"),
    ],
)
def test_a_producer_that_does_not_connect_is_closed(failing: dict[str, Any], topic: str, says: str) -> None:
    """Its error is one that a command prints."""
    producer = Producer(**failing)
    with pytest.raises(PreconditionFailed, match=says):
        run_virtually(connect(SETTINGS, producer, topic))
    assert producer.steps[-1] == "stop"


@pytest.mark.parametrize("stop", [away, silent])
def test_a_producer_that_does_not_stop_is_closed_step_by_step(stop: Callable[[], Any]) -> None:
    """aiokafka's stop leaves its sender and its connections open then."""
    producer = Producer(stop=stop, sender=silent)
    run_virtually(close(producer))
    assert producer.steps == ["stop", "sender", "client"]


def test_an_error_while_publishing_is_an_outage() -> None:
    """Also the end of its time, which has no text of its own."""

    async def publish(work: Callable[[], Any]) -> None:
        async with acknowledging("publishing news"):
            await work()

    with pytest.raises(SinkUnavailable, match=r"^publishing news: KafkaConnectionError: .*nobody there$"):
        run_virtually(publish(away))
    with pytest.raises(
        SinkUnavailable, match=rf"^publishing news: TimeoutError: no answer within {PUBLISH_SECONDS:.0f} s$"
    ):
        run_virtually(publish(silent))


def test_a_refusal_is_no_outage() -> None:
    """The first other error is raised."""
    refused, first, second = MessageSizeTooLargeError(), KafkaError("first"), KafkaError("second")
    raise_outage([None, refused])
    with pytest.raises(KafkaError, match="first"):
        raise_outage([refused, None, first, second])
