"""The publisher's use of Kafka's answers: batching, time-outs, full memory, and a producer that is refused."""

import asyncio
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, OutOfOrderSequenceNumber
from aiokafka.producer.message_accumulator import BatchBuilder
from support.wait import wait_until

from bridge.gateway import publisher as module
from bridge.gateway.delivery import Delivery
from bridge.gateway.publisher import Publisher, header_bytes
from bridge.http.problems import Code, Problem
from schemas.config.settings import Settings

PARTITIONS = 3
LEADERS = (0, 0, 1)


class Producer:
    """A replacement for aiokafka's producer; the test decides each batch's result."""

    def __init__(self) -> None:
        cluster = SimpleNamespace(
            partitions_for_topic=lambda _topic: set(range(PARTITIONS)),
            leader_for_partition=lambda one: LEADERS[one.partition],
        )
        self.client = SimpleNamespace(cluster=cluster, close=self.stop, fetch_all_metadata=self.metadata)
        self._sender = SimpleNamespace(close=self.stop)
        self.sent: list[tuple[int, int, asyncio.Future[None]]] = []
        self.stopped = False

    async def start(self) -> None:
        return

    async def metadata(self) -> SimpleNamespace:
        return self.client.cluster

    async def stop(self) -> None:
        self.stopped = True

    async def partitions_for(self, _topic: str) -> set[int]:
        return set(range(PARTITIONS))

    def create_batch(self) -> BatchBuilder:
        return BatchBuilder(2000, 0)

    async def send_batch(self, builder: BatchBuilder, _topic: str, *, partition: int) -> "asyncio.Future[None]":
        assert builder.closed()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sent.append((partition, builder.record_count(), future))
        return future


@pytest.fixture
def publish_timeout() -> str:
    """A time-out that no slow machine reaches, unless a test sets another."""
    return "60s"


@pytest.fixture
async def made(
    publish_timeout: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Publisher, list[Producer]]]:
    producers: list[Producer] = []

    def make(*_: object, **__: object) -> Producer:
        producers.append(Producer())
        return producers[-1]

    monkeypatch.setattr(module, "make_producer", make)
    settings = Settings(
        kafka_bootstrap_servers="nowhere:1",
        gateway_publish_timeout=publish_timeout,
        gateway_max_bytes_in_flight=1024 * 1024,
    )  # type: ignore[call-arg]  # the other settings have defaults
    found = Publisher(settings)
    await found.start()
    yield found, producers
    for producer in producers:
        for _, _, future in producer.sent:
            if not future.done():
                future.set_result(None)
    await found.close()


async def sent(producer: Producer, count: int) -> list[tuple[int, int, Any]]:
    await wait_until(lambda: len(producer.sent) >= count, budget_seconds=30, describe=f"{count} batches")
    return producer.sent


def add(
    publisher: Publisher, count: int, key: Callable[[int], bytes | None], sender: str = "s", share: float = 1.0
) -> Delivery:
    with publisher.delivery((sender,), ((sender, share),), count, count * 100) as delivery:
        for number in range(count):
            publisher.add(delivery, key(number), sender.encode() + b"x" * 99, [])
    return delivery


async def test_all_batches_of_a_request_are_waited_for(made: tuple[Publisher, list[Producer]]) -> None:
    """Each partition has one batch, and the answer comes with the last."""
    publisher, (producer,) = made
    delivery = add(publisher, 6, lambda _: None)
    batches = await sent(producer, PARTITIONS)
    assert [(partition, count) for partition, count, _ in batches] == [(0, 2), (1, 2), (2, 2)]
    for _, _, future in batches[:-1]:
        future.set_result(None)
    assert not await delivery.acknowledged(0.02)
    batches[-1][2].set_result(None)
    assert await delivery.acknowledged(5)
    assert publisher.bytes_in_flight == 0


async def test_one_batch_of_a_partition_is_in_flight(made: tuple[Publisher, list[Producer]]) -> None:
    """Later records are gathered and follow in order, however many there are."""
    publisher, (producer,) = made
    first = add(publisher, 1, lambda _: b"same")
    await sent(producer, 1)
    rest = add(publisher, 40, lambda _: b"same")
    await asyncio.sleep(0.02)
    assert len(producer.sent) == 1
    producer.sent[0][2].set_result(None)
    assert await first.acknowledged(5)
    for number in range(2, 6):
        (await sent(producer, number))[-1][2].set_result(None)
        if sum(count for _, count, _ in producer.sent) == 41:
            break
    assert await rest.acknowledged(5)
    assert sum(count for _, count, _ in producer.sent) == 41
    assert len({partition for partition, _, _ in producer.sent}) == 1


async def test_a_delivery_knows_whether_its_records_wait_behind_others(made: tuple[Publisher, list[Producer]]) -> None:
    """A full queue is the senders', a batch in flight is Kafka's."""
    publisher, (producer,) = made
    first = add(publisher, 1, lambda _: b"same")
    assert first.queued == 1
    await sent(producer, 1)
    second = add(publisher, 2, lambda _: b"same")

    assert (first.queued, second.queued) == (0, 2)


@pytest.mark.parametrize(("count", "behind"), [(module.BATCH_BYTES // (100 + 512) - 10, False), (500, True)])
async def test_a_sender_is_behind_when_its_records_of_one_partition_fill_a_batch(
    made: tuple[Publisher, list[Producer]], count: int, behind: bool
) -> None:
    """Others' records do not count: senders take turns, so nobody waits for the queue of another."""
    publisher, (producer,) = made
    add(publisher, 1, lambda _: b"same")
    await sent(producer, 1)
    for script in ("first", "second"):
        with publisher.delivery(("server", 1, script), ((script, 1.0),), count // 2, 0) as delivery:
            for _ in range(count // 2):
                publisher.add(delivery, b"same", b"x" * 100, [])
    add(publisher, 40, lambda _: b"same", "2")

    assert publisher.is_behind(("server", 1)) == behind
    assert not publisher.is_behind(("server", 2))
    assert not publisher.is_behind(("visitor", 1))


async def test_what_goes_to_one_broker_goes_together(
    made: tuple[Publisher, list[Producer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records are gathered while the broker has a batch in flight, up to a time limit; other brokers do not wait."""
    publisher, (producer,) = made
    takes_long = module._TOGETHER_SECONDS
    monkeypatch.setattr(module, "_TOGETHER_SECONDS", 60.0)
    add(publisher, 1, lambda _: None)
    ((partition, _, _),) = await sent(producer, 1)
    assert partition == 1
    add(publisher, 2, lambda _: None)
    await sent(producer, 2)
    await asyncio.sleep(0.03)
    assert [one[0] for one in producer.sent] == [1, 2]
    monkeypatch.setattr(module, "_TOGETHER_SECONDS", takes_long)
    await sent(producer, 3)
    assert producer.sent[2][0] == 0


@pytest.mark.parametrize("publish_timeout", ["200ms"])
async def test_a_partition_that_does_not_answer_is_refused_at_once(made: tuple[Publisher, list[Producer]]) -> None:
    """After one publish time-out it refuses immediately, until it has answered; the others continue."""
    publisher, (producer,) = made
    stuck = add(publisher, 1, lambda _: b"same")
    await sent(producer, 1)
    assert not await stuck.acknowledged(0.25)
    assert publisher.stuck
    with pytest.raises(Problem) as caught:
        add(publisher, 1, lambda _: b"same")
    assert caught.value.code is Code.KAFKA_UNAVAILABLE
    producer.sent[0][2].set_result(None)
    await wait_until(lambda: not publisher.stuck, budget_seconds=30, describe="no longer stuck")
    add(publisher, 1, lambda _: b"same")


async def test_memory_is_bounded(made: tuple[Publisher, list[Producer]]) -> None:
    """Unacknowledged records count, also after their request has ended."""
    publisher, (producer,) = made
    add(publisher, 3000, lambda _: None)
    with pytest.raises(Problem) as caught:
        add(publisher, 1000, lambda _: None)
    assert caught.value.code is Code.OVERLOADED
    add(publisher, 100, lambda _: None)
    assert producer.sent == []


async def test_nothing_begins_to_send_after_the_close(
    made: tuple[Publisher, list[Producer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The close waits a short time, also where filling the batches takes several turns of the event loop."""
    publisher, (producer,) = made
    monkeypatch.setattr(module, "_FILL_SECONDS", 0.0)
    monkeypatch.setattr(module, "_CLOSE_SECONDS", 0.0)
    add(publisher, 100, lambda number: b"%d" % number)
    await publisher.close()
    begun = len(producer.sent)
    await asyncio.sleep(0.02)

    assert len(producer.sent) == begun
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_headers_count_as_memory(made: tuple[Publisher, list[Producer]]) -> None:
    """A small event's headers may be many times its size."""
    publisher, (producer,) = made
    headers = [("x-request-id", b"x" * 128), ("x-trace-id", b"x" * 128), ("bridge-origin", None)]
    with publisher.delivery(("s",), (), 1, 1 + header_bytes(headers)) as delivery:
        publisher.add(delivery, b"same", b"1", headers)
    without = 1 + header_bytes([]) + module._FRAME_BYTES
    assert publisher.bytes_in_flight >= without + 2 * 128
    (await sent(producer, 1))[0][2].set_result(None)
    assert await delivery.acknowledged(5)
    assert publisher.bytes_in_flight == 0


async def test_senders_take_turns_in_a_partition(made: tuple[Publisher, list[Producer]]) -> None:
    """One sender's backlog, also from requests answered 503, delays another's event by one batch at most."""
    publisher, (producer,) = made
    add(publisher, 1, lambda _: b"same")
    await sent(producer, 1)
    flood = add(publisher, 1000, lambda _: b"same", "flood")
    other = add(publisher, 1, lambda _: b"same", "other")
    assert not await flood.acknowledged(0.01)
    for number in range(3):
        (await sent(producer, number + 1))[number][2].set_result(None)
    assert await other.acknowledged(5)
    assert not await flood.acknowledged(0.01)


async def test_a_server_is_not_behind_the_scripts_that_visitors_name(made: tuple[Publisher, list[Producer]]) -> None:
    """Tokens of many scripts give a visitor's address one turn, so other visitors are not delayed either."""
    publisher, (producer,) = made
    add(publisher, 1, lambda _: b"same")
    await sent(producer, 1)
    others = {"a server": ("server", 1, "s1"), "a visitor": ("visitor", "10.0.0.9", "s1")}
    named = [("visitor", "10.0.0.1", f"s{script}") for script in range(50)]
    delivered = {}
    for sender in [*named, *others.values()]:
        with publisher.delivery(sender, (), 1, 500) as delivered[sender]:
            publisher.add(delivered[sender], b"same", b"x" * 500, [])
    for number in range(2):
        (await sent(producer, number + 1))[number][2].set_result(None)
    for who, sender in others.items():
        assert await delivered[sender].acknowledged(5), who
    assert not await delivered[named[-1]].acknowledged(0.01)


async def test_a_sender_that_found_no_room_in_a_batch_goes_first(
    made: tuple[Publisher, list[Producer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise others' larger records would fill one batch after another."""
    monkeypatch.setattr(module, "_TURN_BYTES", 1)
    publisher, (producer,) = made
    add(publisher, 1, lambda _: b"same")
    await sent(producer, 1)
    for sender in ("a", "b"):
        with publisher.delivery((sender,), (), 50, 50 * 800) as delivery:
            for _ in range(50):
                publisher.add(delivery, b"same", b"x" * 800, [])
    with publisher.delivery(("other",), (), 1, 500) as other:
        publisher.add(other, b"same", b"x" * 500, [])
    for number in range(3):
        (await sent(producer, number + 1))[number][2].set_result(None)
    assert await other.acknowledged(5)


async def test_a_share_of_what_waits_for_kafka_is_its_senders(made: tuple[Publisher, list[Producer]]) -> None:
    """Records count after their request has ended, and are freed once Kafka answers."""
    publisher, (producer,) = made
    publisher._budget._least = 0
    first = add(publisher, 100, lambda _: b"same", "visitors", 1 / 16)
    assert not await first.acknowledged(0.01)
    for _ in range(2):
        with pytest.raises(Problem) as caught:
            add(publisher, 150, lambda _: b"same", "visitors", 1 / 16)
        assert caught.value.code is Code.RATE_LIMITED
    add(publisher, 150, lambda _: b"same", "server", 1 / 4)
    number = 0
    while not await first.acknowledged(0):
        (await sent(producer, number + 1))[number][2].set_result(None)
        number += 1
    add(publisher, 150, lambda _: b"same", "visitors", 1 / 16)


async def test_a_refused_producer_is_replaced(made: tuple[Publisher, list[Producer]]) -> None:
    """The refused batch is not acknowledged, and queued records go with the next producer."""
    publisher, producers = made
    lost = add(publisher, 1, lambda _: b"same")
    await sent(producers[0], 1)
    waiting = add(publisher, 1, lambda _: b"same")
    producers[0].sent[0][2].set_exception(OutOfOrderSequenceNumber())
    assert not await lost.acknowledged(5)
    await wait_until(lambda: len(producers) == 2, budget_seconds=30, describe="another producer")
    (await sent(producers[1], 1))[0][2].set_result(None)
    assert await waiting.acknowledged(5)
    assert producers[0].stopped


async def test_a_record_that_the_topic_refuses_is_told_apart(made: tuple[Publisher, list[Producer]]) -> None:
    """A record alone in its batch gets the error; among others no record is blamed. The producer stays."""
    publisher, producers = made
    alone = add(publisher, 1, lambda _: b"same")
    (await sent(producers[0], 1))[0][2].set_exception(MessageSizeTooLargeError())
    assert not await alone.acknowledged(5)
    assert isinstance(alone.error, MessageSizeTooLargeError)
    among = add(publisher, 2, lambda _: b"same")
    (await sent(producers[0], 2))[1][2].set_exception(MessageSizeTooLargeError())
    assert not await among.acknowledged(5)

    assert type(among.error) is KafkaError
    assert len(producers) == 1


async def test_a_batch_of_each_partition_is_no_one_turn_of_the_loop(
    made: tuple[Publisher, list[Producer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow batches yield the loop in between; all are sent, and none is filled twice."""
    monkeypatch.setattr(module, "_FILL_SECONDS", 0.0)
    publisher, (producer,) = made
    filled: list[str] = []
    create = producer.create_batch

    def create_batch() -> BatchBuilder:
        filled.append("batch")
        asyncio.get_running_loop().call_soon(filled.append, "other")
        return create()

    monkeypatch.setattr(producer, "create_batch", create_batch)
    delivery = add(publisher, 2 * PARTITIONS, lambda _: None)
    for _, _, future in await sent(producer, PARTITIONS):
        future.set_result(None)
    assert await delivery.acknowledged(5)
    assert filled == ["batch", "other"] * PARTITIONS


async def test_what_comes_between_two_turns_is_not_left(
    made: tuple[Publisher, list[Producer]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Records that arrive between two turns are sent, also for a partition that had none at its turn."""
    monkeypatch.setattr(module, "_FILL_SECONDS", 0.0)
    publisher, (producer,) = made
    create, late = producer.create_batch, []

    def create_batch() -> BatchBuilder:
        if not late:
            late.append(None)
            asyncio.get_running_loop().call_soon(lambda: late.append(add(publisher, 1, lambda _: None)))
        return create()

    monkeypatch.setattr(producer, "create_batch", create_batch)
    delivery = add(publisher, 2, lambda _: None)
    for number in range(PARTITIONS):
        (await sent(producer, number + 1))[number][2].set_result(None)
    assert [partition for partition, _, _ in producer.sent] == [1, 2, 0]
    assert await delivery.acknowledged(5)
    assert await late[1].acknowledged(5)


async def test_a_delivery_knows_how_long_it_waited_in_a_queue(made: tuple[Publisher, list[Producer]]) -> None:
    """Behind its own records it is late by itself; a batch that Kafka has for long is late by Kafka."""
    publisher, (producer,) = made
    first = add(publisher, 1, lambda _: b"same")
    await sent(producer, 1)
    behind = add(publisher, 1, lambda _: b"same")

    assert behind.waited_in_queue(0.0)
    assert not first.waited_in_queue(0.0)
    assert first.waited_in_queue(60.0)
