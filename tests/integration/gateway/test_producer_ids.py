"""Kafka does not authenticate producer ids: a writer on the raw topic can write under the id of another producer."""

import asyncio
import json
import time
from pathlib import Path

import httpx
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.producer.transaction_manager import PidAndEpoch
from support.processes.gateway import bearer, gateway, raw_records

from schemas.config.settings import Settings
from sinks.kafka.admin import started
from sinks.kafka.producer import make_producer

POSTS = 20
SEQUENCES = 4


async def impersonate(settings: Settings, producer_id: int, epoch: int, count: int) -> None:
    """Write `count` records to each partition under this producer id, as far as Kafka accepts them."""
    producer = make_producer(settings, enable_idempotence=True)
    ids = producer._txn_manager
    # With an id of its own it does not ask Kafka for one.
    ids._pid_and_epoch = PidAndEpoch(producer_id, epoch)
    async with started(settings, producer):
        for partition in range(settings.topic_partitions):
            for _ in range(count):
                try:
                    sent = await producer.send(settings.topics.raw, b"{}", partition=partition)
                    await asyncio.wait_for(sent, 5)
                except (KafkaError, TimeoutError):
                    return


async def newest_id(settings: Settings) -> int:
    producer: AIOKafkaProducer = make_producer(settings, enable_idempotence=True)
    async with started(settings, producer):
        await (await producer.send(settings.topics.raw, b"{}", partition=0))
        found: int = producer._txn_manager.producer_id
        return found


async def test_an_event_with_a_202_is_in_kafka_whoever_else_writes_to_the_topic(
    settings: Settings, key: str, tmp_path: Path
) -> None:
    """Kafka acknowledges batches under an id and a sequence that it has seen, and does not store them."""
    with gateway(settings, tmp_path / "gateway.log") as running:
        newest = await newest_id(settings)
        for coming in range(newest + 1, newest + 4):
            await impersonate(settings, coming, 0, SEQUENCES)
        for present in range(newest - 1, max(-1, newest - 4), -1):
            await impersonate(settings, present, 1, 1)
        accepted = []
        async with httpx.AsyncClient(base_url=running.url, timeout=20) as client:
            for number in range(POSTS):
                event = {"event_id": f"e{number}", "event_type": "click", "occurred_at": time.time_ns() // 1_000_000}
                answer = await client.post("/api/bridge/s1/events", json=event, headers=bearer(key))
                accepted += [f"e{number}"] * (answer.status_code == httpx.codes.ACCEPTED)

    stored = {json.loads(record.value).get("event_id") for record in await raw_records(settings)}
    assert len(accepted) == POSTS
    assert set(accepted) <= stored
