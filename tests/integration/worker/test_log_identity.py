"""A replaced log pauses its partition until an operator adopts it; rows and audit then account for both logs."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import RecordsToDelete
from support.events.settled import environment_of, event, fetch, prepare, produce, settings_for, working
from support.infrastructure.topics import make_anew
from support.processes.command import bridge
from support.wait import wait_until

from schemas.config.settings import Settings
from sinks.kafka.admin import kafka_admin
from streams.audit import audit
from telemetry import metrics

FIRST, SECOND = 40, 12
Change = Callable[[Settings], Awaitable[str]]


async def held(settings: Settings) -> dict[tuple[str, int], str]:
    rows = await fetch(settings, "SELECT topic, partition, held FROM stream_offset WHERE held IS NOT NULL")
    return {(row["topic"], row["partition"]): row["held"] for row in rows}


async def persisted(settings: Settings) -> int:
    return int((await fetch(settings, "SELECT count(*) FROM bridge_event"))[0][0])


async def command(settings: Settings, *words: str) -> subprocess.CompletedProcess[bytes]:
    done = await asyncio.to_thread(bridge, *words, settings=environment_of(settings))
    assert b"Traceback" not in done.stderr, done.stderr
    return done


@asynccontextmanager
async def read_once(stack: object, database_url: str, prefix: str) -> AsyncIterator[Settings]:
    """A stream that has read FIRST events and whose worker has stopped."""
    settings = settings_for(stack.kafka, database_url, prefix)  # type: ignore[attr-defined]
    await prepare(settings)
    await produce(settings, [event(number) for number in range(FIRST)])
    async with working(settings):
        await wait_until(lambda: all_read(settings, FIRST), budget_seconds=30, describe="the first events")
    yield settings


async def all_read(settings: Settings, count: int) -> bool:
    return await persisted(settings) >= count


async def recreated_and_grown(settings: Settings) -> str:
    """Recreate the topic with other records and a longer log than was read: only the last record differs."""
    await make_anew(settings, [settings.topics.raw])
    await produce(settings, [event(number) for number in range(1000, 1000 + FIRST + SECOND)])
    return "it has another record at offset 19"


async def recreated_shorter(settings: Settings) -> str:
    await make_anew(settings, [settings.topics.raw])
    await produce(settings, [event(number) for number in range(1000, 1000 + SECOND)])
    return f"it ends at {SECOND // 2}, but was read up to {FIRST // 2}"


@pytest.mark.parametrize("change", [recreated_and_grown, recreated_shorter])
async def test_a_topic_made_anew_is_held_and_then_adopted(stack, database_url, topic_prefix, change: Change) -> None:
    """Both partitions are paused and then adopted without a restart; rows and audit cover both logs."""
    async with read_once(stack, database_url, topic_prefix) as settings:
        raw = settings.topics.raw
        why = await change(settings)
        async with working(settings) as worker:
            await wait_until(lambda: both_held(settings), budget_seconds=30, describe="both partitions held")
            assert all(why in text for text in (await held(settings)).values())
            assert metrics.FOREIGN.labels(raw, "0")._value.get() == 1
            assert await persisted(settings) == FIRST, "nothing of a foreign log is read"
            assert not worker.failed.done()

            shown = await command(settings, "offsets", "show", "--json-output", "-")
            assert {row["held"] is not None for row in json.loads(shown.stdout) if row["topic"] == raw} == {True}
            one = await command(settings, "topics", "adopt", raw, "--partition", "1", "--reason", "made anew")
            assert one.returncode == 0, one.stderr
            rest = await command(settings, "topics", "adopt", raw, "--reason", "made anew", "--json-output", "-")
            assert rest.returncode == 0, rest.stderr
            assert [change.split("; ")[-1] for change in json.loads(rest.stdout)["changes"]] == [
                f"adopted as {raw}#2-0 from 0 on"
            ]
            again = await command(settings, "topics", "adopt", raw, "--reason", "made anew")
            assert again.returncode == 3
            assert b"nothing to adopt" in again.stdout

            await produce(settings, [event(5), *(event(2000 + number, script_id="nobody") for number in range(4))])
            await wait_until(lambda: none_left(settings), budget_seconds=60, describe="the new log settled")
        assert metrics.FOREIGN.labels(raw, "0")._value.get() == 0
        await proven(settings)


async def both_held(settings: Settings) -> bool:
    return len(await held(settings)) == 2


async def none_left(settings: Settings) -> bool:
    """Whether everything is read and finished; fails as soon as the audit doesn't balance."""
    report = await audit(settings)
    assert not [problem for problem in report.problems if "account" in problem or "count" in problem], report.problems
    return report.balanced and (report.totals.unread, report.totals.waiting) == (0, 0)


async def proven(settings: Settings) -> None:
    raw = settings.topics.raw
    report = await audit(settings)
    assert report.balanced, report.problems
    by_log = {one.topic: 0 for one in report.partitions}
    for one in report.partitions:
        by_log[one.topic] += one.read
    assert by_log[raw] == FIRST
    assert by_log[f"{raw}#2"] >= SECOND + 5
    rows = await fetch(settings, "SELECT raw_topic, dropped_reason, event_id FROM bridge_event_raw")
    found = sorted((row["raw_topic"], row["dropped_reason"], row["event_id"]) for row in rows)
    nobody = [(f"{raw}#2", "retry_exhausted", f"e-{2000 + number}") for number in range(4)]
    # An event of the old log is recognised by its key when the new log brings it again.
    assert found == sorted([(f"{raw}#2", "duplicate_event_id", "e-5"), *nobody])
    history = await fetch(settings, "SELECT summary FROM script_run WHERE script = 'topics-adopt' AND exit_code = 0")
    assert {json.loads(row["summary"])["reason"] for row in history} == {"made anew"}


async def test_another_cluster_is_held_with_all_its_topics(stack, database_url, topic_prefix) -> None:
    """All topics of another cluster are paused, and a dry run of the adoption changes nothing."""
    async with read_once(stack, database_url, topic_prefix) as settings:
        clusters = {row[0] for row in await fetch(settings, "SELECT DISTINCT cluster_id FROM stream_offset")}
        assert len(clusters) == 1
        assert clusters != {None}
        await fetch(settings, "UPDATE stream_offset SET cluster_id = 'the-old-one'")
        await produce(settings, [event(1000)])
        async with working(settings):
            await wait_until(lambda: six_held(settings), budget_seconds=30, describe="all partitions held")
            assert "the cluster the-old-one" in next(iter((await held(settings)).values()))
            rehearsed = await command(settings, "topics", "adopt", settings.topics.raw, "--reason", "r", "--dry-run")
            assert rehearsed.returncode == 0
            assert b"would be adopted" in rehearsed.stdout
            assert await six_held(settings)
            for topic in (settings.topics.raw, *settings.topics.retries):
                assert (await command(settings, "topics", "adopt", topic, "--reason", "moved")).returncode == 0
            await wait_until(lambda: all_read(settings, FIRST + 1), budget_seconds=30, describe="the new event")
            await wait_until(lambda: none_left(settings), budget_seconds=30, describe="the adopted logs settled")
        report = await audit(settings)
        assert report.totals.dropped_by_reason == {"duplicate_event_id": FIRST}


async def six_held(settings: Settings) -> bool:
    return len(await held(settings)) == 6


async def test_records_deleted_unread_are_loss_and_not_a_foreign_log(stack, database_url, topic_prefix) -> None:
    """A log that begins beyond the last record read is the same log: the missing records count as lost."""
    async with read_once(stack, database_url, topic_prefix) as settings:
        await produce(settings, [event(number) for number in range(1000, 1000 + SECOND)])
        lost = KafkaPartition(settings.topics.raw, 0)
        async with kafka_admin(settings) as client:
            await client.delete_records({lost: RecordsToDelete(before_offset=FIRST // 2 + 2)})
        async with working(settings):
            await wait_until(lambda: all_read(settings, FIRST + SECOND - 2), budget_seconds=30, describe="the rest")
            assert await held(settings) == {}
        assert [row[0] for row in await fetch(settings, "SELECT lost FROM stream_offset WHERE lost > 0")] == [2]
        refused = await command(settings, "topics", "adopt", settings.topics.raw, "--reason", "none")
        assert refused.returncode == 3


async def test_what_can_t_be_adopted_is_said_in_one_line(stack, database_url, topic_prefix) -> None:
    """The DLQ, a partition that doesn't exist and a log that is not replaced are refused with one line each."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    for words, said in (
        ((settings.topics.dlq,), b"is not read by workers"),
        ((settings.topics.raw, "--partition", "7"), b"Kafka has no such partition"),
        ((settings.topics.raw,), b"nothing to adopt"),
    ):
        done = await command(settings, "topics", "adopt", *words, "--reason", "r")
        assert done.returncode == 3, done.stdout
        assert said in done.stdout
