"""The worker and the gateway publish with acks=all: every replica in sync confirms a record."""

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.produce import ProduceRequest
from support.events.settled import event, produce, settings_for

from bridge.dev.stack import StackAddresses
from sinks.kafka.topics import apply_topics

ALL = -1


async def test_a_producer_asks_for_the_word_of_all_replicas(
    stack: StackAddresses, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The produce request asks the broker for the acknowledgement of all replicas in sync.

    Only the request shows it: on a single broker the leader is the only replica.
    """
    asked: list[int] = []
    send = AIOKafkaClient.send

    async def noted(client: AIOKafkaClient, node: int, request: object, **options: object) -> object:
        if isinstance(request, ProduceRequest):
            asked.append(request.required_acks)
        return await send(client, node, request, **options)

    monkeypatch.setattr(AIOKafkaClient, "send", noted)
    settings = settings_for(stack.kafka, "postgresql://nowhere/none", topic_prefix)
    await apply_topics(settings)
    await produce(settings, [event(1)])
    # One request, or several if the leader of the topic was unknown at first.
    assert set(asked) == {ALL}
