"""`bridge dlq replay --from-topic`: dead letters that are not in the ledger."""

import asyncio
import json
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import NewTopic
from support.events.replays import assert_balanced, dead_letters, dlq, late, replay_settings, until
from support.events.settled import event, fetch, working

from schemas.config.settings import Settings
from schemas.documents.replay import TopicReplaySummary
from sinks.kafka.admin import kafka_admin, partitions_of, started
from sinks.kafka.producer import make_producer
from sinks.postgres.registry.admin import add_script


async def copies_of(settings: Settings, count: int) -> list[Any]:
    """The product's own dead letters as they are in Kafka."""
    found: list[Any] = []
    consumer = AIOKafkaConsumer(settings.topics.dlq, **settings.kafka_client(), auto_offset_reset="earliest")
    async with started(settings, consumer), asyncio.timeout(30):
        while len(found) < count:
            found += [record for records in (await consumer.getmany(timeout_ms=500)).values() for record in records]
    return found


async def test_springs_dead_letters_and_our_own(stack, database_url, topic_prefix) -> None:
    """Spring's are sent once, without its headers; those in the ledger are skipped; a second run finds nothing new."""
    settings = replay_settings(stack, database_url, topic_prefix)
    await dead_letters(settings, late(3))
    await add_script(database_url, "late", 1)
    topic = f"{topic_prefix}spring.dlt"
    async with kafka_admin(settings) as client:
        await client.create_topics([NewTopic(topic, 2, 1)])
    async with make_producer(settings) as producer:
        # As in a mirror of the product's own topic.
        for own in await copies_of(settings, 3):
            await producer.send_and_wait(topic, own.value, key=own.key, headers=list(own.headers), partition=0)
        for number in range(4):
            headers = [
                ("mine", b"1"),
                ("kafka_dlt-original-partition", (1).to_bytes(4)),
                ("kafka_dlt-exception-message", b"no"),
            ]
            value = event(100 + number) if number else b"{"
            await producer.send_and_wait(topic, value, key=b"k", headers=headers, partition=0)
    assert await partitions_of(settings, [topic])
    words = ("replay", "--from-topic", topic, "--json-output", "-")
    out, _ = await dlq(settings, *words, "--dry-run")
    dry = TopicReplaySummary.model_validate_json(out)
    assert (dry.processed_total, dry.sent_total, dry.in_the_ledger) == (7, 0, 3)
    assert dry.forecast == {"passes": 3, "invalid_payload_json": 1}
    async with working(settings):
        out, _ = await dlq(settings, *words)
        assert TopicReplaySummary.model_validate_json(out).sent_total == 4
        await until(settings, "SELECT count(*) = 3 FROM bridge_event")
        await until(settings, "SELECT count(*) = 4 FROM bridge_event_raw")
        out, _ = await dlq(settings, *words)
    again = TopicReplaySummary.model_validate_json(out)
    assert (again.processed_total, again.sent_total) == (0, 0)
    assert {row["raw_partition"] for row in await fetch(settings, "SELECT raw_partition FROM bridge_event")} == {1}
    (row,) = await fetch(settings, "SELECT headers FROM bridge_event_raw WHERE headers IS NOT NULL")
    assert json.loads(row["headers"]) == [["mine", "MQ=="]]
    await assert_balanced(settings)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--from-topic", "nowhere"), "Kafka has no topic 'nowhere'"),
        (("--from-topic", "x", "--force"), "--canary and --force are only for plans"),
        (("abcd1234", "--from-topic", "x"), "give a PLAN, or --from-topic TOPIC"),
        ((), "give a PLAN, or --from-topic TOPIC"),
    ],
)
async def test_bad_input(stack, database_url, topic_prefix, words: tuple[str, ...], says: str) -> None:
    """A mistake exits with code 3 and one line."""
    settings = replay_settings(stack, database_url, topic_prefix)
    _, err = await dlq(settings, "replay", *words, code=3)
    assert says in err


@pytest.mark.parametrize("name", ["dlq", "gate", "retry.5s", "retry.of-a-former-tier"])
async def test_a_topic_of_the_product_is_refused(stack, database_url, topic_prefix, name: str) -> None:
    """Writers of such a topic could have any event sent; dead letters in the ledger are replayed by a plan."""
    settings = replay_settings(stack, database_url, topic_prefix)
    _, err = await dlq(settings, "replay", "--from-topic", f"{topic_prefix}{name}", "--dry-run", code=3)
    assert f"{topic_prefix}{name} is a topic of this product" in err
    assert "Choose dead letters from the ledger with `bridge dlq plan`" in err


async def test_a_batch_that_inflates_too_much_is_not_read(stack, database_url, topic_prefix) -> None:
    """Its place is named after all other records have been sent; a higher limit reads it."""
    settings = replay_settings(stack, database_url, topic_prefix)
    topic = f"{topic_prefix}spring.dlt"
    async with kafka_admin(settings) as client:
        await client.create_topics([NewTopic(topic, 3, 1)])
    large = 9 * 1024 * 1024
    inflating = b"[" + b" " * large + b"]"
    async with AIOKafkaProducer(
        bootstrap_servers=settings.brokers, compression_type="gzip", max_request_size=2 * large
    ) as producer:
        values = (
            (0, inflating),
            (1, event(1)),
            (1, event(2)),
            (1, event(3)),
            (1, inflating),
            (1, event(4)),
            (2, event(5)),
        )
        for partition, value in values:
            await producer.send_and_wait(topic, value, partition=partition)
    out, err = await dlq(settings, "replay", "--from-topic", topic, code=1)
    for place in ("0: the record at offset 0", "1: the record at offset 3"):
        assert f"{topic}:{place} can't be read: a batch that inflates to more than 8388608 bytes" in err
    assert "4 records read, 4 sent" in out
    limit = {"BRIDGE_INFLATE_MAX_BYTES": str(2 * large)}
    out, _ = await dlq(settings, "replay", "--from-topic", topic, "--dry-run", "--json-output", "-", **limit)
    assert TopicReplaySummary.model_validate_json(out).processed_total == 3
