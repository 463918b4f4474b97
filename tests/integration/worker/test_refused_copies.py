"""Records whose copies Kafka refuses: they are committed and delay no other record."""

import asyncio
import json
import os

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import NewTopic
from support.events.dlq_reader import decoded, read_dead_letter
from support.events.replays import assert_balanced, dlq, plan, status, until
from support.events.settled import event, fetch, prepare, produce, settings_for, working

from schemas.config.settings import Settings
from schemas.documents.replay import TopicReplaySummary
from schemas.kafka.dead_letter import DeadLetter
from schemas.kafka.headers import Headers
from sinks.kafka.admin import kafka_admin, started
from sinks.kafka.aiokafka_patches.configs import set_configs
from sinks.kafka.producer import make_producer
from sinks.postgres.ledger.rows import decode_headers

# zstd, with its long window, makes it small; lz4, which the stream uses for its copies, does not.
BIG = os.urandom(100_000) * 40


async def send_big(
    settings: Settings, topic: str, value: bytes, *, key: bytes | None = None, headers: Headers = ()
) -> None:
    """Send one record to partition 0, within the raw topic's limit as compressed."""
    producer = make_producer(
        settings, compression_type="zstd", max_request_size=2 * len(BIG), max_batch_size=2 * len(BIG)
    )
    async with started(settings, producer):
        await producer.send_and_wait(topic, value, key=key, headers=headers, partition=0)


async def limit(settings: Settings, *topics: str) -> None:
    """Lower the topics' limit below the size of the stream's own headers."""
    async with kafka_admin(settings) as client:
        await set_configs(client, {topic: {"max.message.bytes": "300"} for topic in topics})


async def letters(settings: Settings, count: int) -> list[DeadLetter]:
    consumer = AIOKafkaConsumer(settings.topics.dlq, **settings.kafka_client(), auto_offset_reset="earliest")
    async with started(settings, consumer):
        async with asyncio.timeout(30):
            return [read_dead_letter(await consumer.getone()) for _ in range(count)]


@pytest.mark.parametrize("part", ["key", "headers"])
async def test_a_dead_letter_goes_without_what_makes_it_too_large(stack, database_url, topic_prefix, part: str) -> None:
    """A large key or large headers are omitted from the copy too, which marks them as omitted.

    The ledger keeps their beginning, and the other records are committed.
    """
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    given = {"key": BIG} if part == "key" else {"headers": [("x", BIG)]}
    await send_big(settings, settings.topics.raw, b"{", **given)
    await produce(settings, [event(number) for number in range(20)])
    async with working(settings):
        await until(settings, "SELECT count(*) = 20 FROM bridge_event")
    (row,) = await fetch(settings, "SELECT record_key, headers, payload, last_error FROM bridge_event_raw")
    kept = row["record_key"] if part == "key" else decode_headers(row["headers"])[0][1]
    assert (BIG.startswith(kept), len(kept) > 65_000, row["payload"]) == (True, True, b"{")
    assert row["last_error"].endswith("the beginning is kept")
    (letter,) = await letters(settings, 1)
    assert (letter.value_omitted, letter.key_omitted, letter.headers_omitted) == (True, True, True)
    assert (letter.key, letter.headers, decoded(letter.value)) == (None, [], b"")
    await assert_balanced(settings)


async def test_an_event_with_large_headers_is_not_retried(stack, database_url, topic_prefix) -> None:
    """An event with large headers becomes a dead letter with the reason; other events are retried."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    nobody = {"script_id": "nobody", "site_id": 1}
    await send_big(settings, settings.topics.raw, event(0, **nobody), headers=[("x", BIG)])
    await produce(settings, [event(1, **nobody), *(event(number) for number in range(2, 20))])
    async with working(settings):
        await until(settings, "SELECT count(*) = 2 FROM bridge_event_raw WHERE dropped_reason = 'retry_exhausted'")
    rows = await fetch(settings, "SELECT retry_count, last_error FROM bridge_event_raw ORDER BY retry_count")
    assert [row["retry_count"] for row in rows] == [0, 2]
    assert f"key and headers have {len(BIG) + 1} bytes" in rows[0]["last_error"]
    await assert_balanced(settings)


async def test_a_retry_whose_copy_is_refused_becomes_a_dead_letter(stack, database_url, topic_prefix) -> None:
    """A retry is dead-lettered if the retry topics refuse even the copy without value, key and headers."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    await limit(settings, *settings.topics.retries)
    await produce(settings, [event(0, script_id="nobody", site_id=1), *(event(number) for number in range(1, 20))])
    async with working(settings):
        await until(settings, "SELECT count(*) = 19 FROM bridge_event")
        await until(settings, "SELECT count(*) = 1 FROM bridge_event_raw WHERE dropped_reason = 'retry_exhausted'")
    (letter,) = await letters(settings, 1)
    assert not letter.value_omitted
    assert "not retried: Kafka refuses its copy: MessageSizeTooLargeError" in letter.error
    await assert_balanced(settings)


async def test_a_dead_letter_that_is_refused_in_each_form_is_in_the_ledger(stack, database_url, topic_prefix) -> None:
    """A dead letter that the DLQ refuses in every form is committed without a copy; a retry would be refused again."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    await limit(settings, settings.topics.dlq)
    await produce(settings, [b"{", *(event(number) for number in range(1, 20))])
    async with working(settings):
        await until(settings, "SELECT count(*) = 19 FROM bridge_event")
        await until(settings, "SELECT count(*) = 1 FROM bridge_event_raw WHERE payload = '{' AND disposition = 'open'")
    await assert_balanced(settings)


async def test_the_neighbours_of_a_refused_copy_stay_whole(stack, database_url, topic_prefix) -> None:
    """On a compacted topic Kafka refuses the whole batch of a record without key; the others are sent again, whole."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    async with kafka_admin(settings) as client:
        await set_configs(client, {settings.topics.dlq: {"cleanup.policy": "compact"}})
    producer = make_producer(settings)
    async with started(settings, producer):
        for number, key in enumerate((b"a", None, b"b")):
            await producer.send(settings.topics.raw, b"{%d" % number, key=key, partition=0)
        await producer.flush()
    async with working(settings):
        await until(settings, "SELECT count(*) = 3 FROM bridge_event_raw")
    found = {decoded(letter.key): decoded(letter.value) for letter in await letters(settings, 2)}
    assert found == {b"a": b"{0", b"b": b"{2"}
    await assert_balanced(settings)


async def test_a_replay_passes_over_what_the_raw_topic_refuses(stack, database_url, topic_prefix) -> None:
    """A refused item stays open with the reason; the replay sends the others."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    # Key and value together exceed the limit; the ledger keeps both whole.
    await send_big(settings, settings.topics.raw, b"{" + BIG[:1_000_000], key=BIG[:1_000_000])
    await produce(settings, [b"{1", b"{2"])
    async with working(settings):
        await until(settings, "SELECT count(*) = 3 FROM bridge_event_raw")
        plan_id, _ = await plan(settings, "--all", "--yes")
        await dlq(settings, "replay", plan_id, "--wait", "30s", "--force", code=1)
        await until(settings, "SELECT count(*) = 5 FROM bridge_event_raw")
    assert "Kafka refuses the record" in json.dumps(await status(settings, plan_id))


async def test_a_replayed_topic_is_read_past_what_the_raw_topic_refuses(stack, database_url, topic_prefix) -> None:
    """A record that the raw topic refuses is counted, and the next record is sent."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    other = f"{topic_prefix}other"
    async with kafka_admin(settings) as client:
        await client.create_topics([NewTopic(other, 1, 1)])
    await send_big(settings, other, event(1), headers=[("x", BIG)])
    await send_big(settings, other, event(2))
    out, _ = await dlq(settings, "replay", "--from-topic", other, "--json-output", "-")
    found = TopicReplaySummary.model_validate_json(out)
    assert (found.sent_total, found.refused) == (1, 1)
    async with working(settings):
        await until(settings, "SELECT count(*) = 1 FROM bridge_event")
