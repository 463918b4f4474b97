"""`bridge dlq replay --from-topic`: dead letters that no ledger knows."""

import json

import pytest
from support.events.replays import assert_balanced, dead_letters, dlq, late, replay_settings, until
from support.events.settled import event, fetch, working

from schemas.documents.replay import TopicReplaySummary
from sinks.kafka.admin import partitions_of
from sinks.kafka.publisher import make_producer
from sinks.postgres.registry.admin import add_script


async def test_springs_dead_letters_and_our_own(stack, database_url, topic_prefix) -> None:
    """Spring's are sent once, without its headers; what the ledger knows is left; the same again finds nothing new."""
    settings = replay_settings(stack, database_url, topic_prefix)
    await dead_letters(settings, late(3))
    await add_script(database_url, "late", 1)
    topic = settings.topics.dlq
    async with make_producer(settings) as producer:
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
    # The dead letter that the fourth became stands on the same topic by now, and is in the ledger.
    assert (again.sent_total, again.in_the_ledger) == (0, 1)
    assert {row["raw_partition"] for row in await fetch(settings, "SELECT raw_partition FROM bridge_event")} == {1}
    (row,) = await fetch(settings, "SELECT headers FROM bridge_event_raw WHERE headers IS NOT NULL")
    assert json.loads(row["headers"]) == [["mine", "MQ=="]]
    await assert_balanced(settings)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--from-topic", "nowhere"), "Kafka has no topic 'nowhere'"),
        (("--from-topic", "x", "--force"), "it knows no --canary and no --force"),
        (("abcd1234", "--from-topic", "x"), "give a PLAN, or --from-topic TOPIC"),
        ((), "give a PLAN, or --from-topic TOPIC"),
    ],
)
async def test_bad_input(stack, database_url, topic_prefix, words: tuple[str, ...], says: str) -> None:
    """One line; exit code 3."""
    settings = replay_settings(stack, database_url, topic_prefix)
    _, err = await dlq(settings, "replay", *words, code=3)
    assert says in err
