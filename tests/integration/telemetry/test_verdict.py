"""The live verdict: each change is published once and sent once, with several workers and after failed publishing."""

import asyncio
import json
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer
from pydantic import SecretStr
from structlog.testing import capture_logs
from support.events.dead_letters import add_dropped, dropped
from support.events.settled import settings_for
from support.events.verdicts import add_change
from support.infrastructure.databases import as_admin
from support.processes.command import bridge, start
from support.processes.hook import listening
from support.wait import wait_until

from schemas.config.settings import Settings
from schemas.documents.gate import GateChange
from schemas.errors import SinkUnavailable
from streams.worker.gate_evaluator import judge_and_publish
from streams.worker.gate_notifier import GateNotifier
from telemetry import metrics

WINDOW = (
    "INSERT INTO gate_window VALUES (date_trunc('minute', now()), $1, 'raw', $5, $6, $2::bigint + $3::bigint + $4::bigint,"
    " $2, $3, $4, $4, 0, 0, 0, 0)"
)


async def add(settings: Settings, site: int, normalized: int, retried: int, dropped: int, **more: Any) -> None:
    conn = await asyncpg.connect(settings.dsn)
    number, replay = more.get("partition", 0), more.get("replay", False)
    try:
        await conn.execute(WINDOW, site, normalized, retried, dropped, number, replay)
    finally:
        await conn.close()


async def changes(settings: Settings) -> list[GateChange]:
    told: list[GateChange] = []

    async def publish(change: GateChange) -> None:
        told.append(change)

    await judge_and_publish(settings, publish)
    return told


async def test_each_change_is_told_once(stack, database_url, topic_prefix) -> None:
    """A site that fails, still fails and recovers has two changes."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await add(settings, 1, 960, 0, 40)
    await add(settings, 2, 9000, 0, 0)
    (failed,) = await changes(settings)
    assert (failed.target, failed.passed, failed.dropped) == ("site:1", False, 40)
    assert "40 of 1000 dropped for reasons other than a duplicate" in failed.reasons[0]
    assert await changes(settings) == []
    await add(settings, 1, 400, 0, 0, partition=1)
    assert await changes(settings) == [], "2.86 % is below the limit but not by enough to pass again"
    await add(settings, 1, 9000, 0, 0, partition=2)
    (passed,) = await changes(settings)
    assert (passed.target, passed.passed) == ("site:1", True)
    assert passed.change_id != failed.change_id


async def test_replays_are_judged_apart(stack, database_url, topic_prefix) -> None:
    """Replayed dead letters that fail again change no verdict."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await add(settings, 1, 0, 0, 500, replay=True)
    assert await changes(settings) == []


async def test_a_target_without_events_passes_again(stack, database_url, topic_prefix) -> None:
    """Once the failed events have left the window, the target passes."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await add(settings, 1, 0, 0, 500)
    assert {one.target for one in await changes(settings)} == {"site:1", "total"}
    conn = await asyncpg.connect(database_url)
    await conn.execute("UPDATE gate_window SET window_start = window_start - interval '31 minutes'")
    await conn.close()
    assert {(one.target, one.passed) for one in await changes(settings)} == {("site:1", True), ("total", True)}


async def test_a_change_that_was_not_published_is_published_later(stack, database_url, topic_prefix) -> None:
    """A change keeps its id when it is published later."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await add(settings, 1, 0, 200, 0)
    tried: list[str] = []

    async def fails(change: GateChange) -> None:
        tried.append(change.change_id)
        raise SinkUnavailable("Kafka is away")

    assert await judge_and_publish(settings, fails) == 0
    found = {one.change_id for one in await changes(settings)}
    assert set(tried) < found
    assert await changes(settings) == []


async def test_workers_that_judge_at_once_tell_a_change_once(stack, database_url, topic_prefix) -> None:
    """One worker judges, and the others skip the round."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await add(settings, 1, 0, 200, 0)
    found = await asyncio.gather(*(changes(settings) for _ in range(5)))
    ids = {one.change_id for told in found for one in told}
    assert len(ids) == 2
    assert await changes(settings) == []


@pytest.mark.parametrize("verdict", [None, b"", b"{", b'{"target": 1}', b"\xff", b"[" * 100_000])
async def test_an_odd_record_on_the_gates_topic_stops_nobody(verdict: bytes | None) -> None:
    """Other producers can write to the topic."""
    await GateNotifier(Settings()).tell([verdict])


async def test_a_forged_verdict_is_not_told(database_url: str) -> None:
    """The webhook receives the verdict as the worker stored it, regardless of the record's content."""
    async with listening(lambda _: 204) as (url, calls):
        settings = Settings(database_url=SecretStr(database_url), worker_alert_webhook=SecretStr(url))
        judged = await add_change(settings, "site:1", reasons=["too many"])
        forged = judged.model_copy(update={"passed": True, "reasons": ["call 555-0100"]})
        for one in (forged.model_copy(update={"change_id": "1"}), forged.model_copy(update={"target": "a\0"}), forged):
            await GateNotifier(settings).tell([one.model_dump_json().encode()])
    ((_, body),) = calls
    told = json.loads(body)
    assert (told["type"], told["data"]["reasons"]) == ("bridge.gate.failed", "too many")


async def test_many_forged_verdicts_cost_one_look(database_url: str) -> None:
    """Five hundred forged verdicts are checked over one connection; each judged one among them is sent once."""
    async with listening(lambda _: 204) as (url, calls):
        settings = Settings(database_url=SecretStr(database_url), worker_alert_webhook=SecretStr(url))
        judged = [await add_change(settings, target, reasons=["too many"]) for target in ("site:1", "total")]
        forged = [judged[0].model_copy(update={"change_id": str(UUID(int=number))}) for number in range(500)]
        opened = metrics.CONNECTIONS_OPENED.labels("gate")
        before = opened._value.get()
        notifier = GateNotifier(settings)
        records = [one.model_dump_json().encode() for one in [*forged, *judged, *judged]]
        with capture_logs() as logs:
            await notifier.tell(records)
            assert opened._value.get() - before == 1
            await notifier.tell(records)
    assert [json.loads(body)["data"]["target"] for _, body in calls] == ["site:1", "total"]
    unknown = [one["count"] for one in logs if one["event"] == "gate_verdict_unknown"]
    assert unknown == [500, 500], "one line for each look"


async def test_nothing_is_told_by_a_records_own_word(stack, database_url: str) -> None:
    """While Postgres refuses connections, verdicts wait; afterwards only the judged ones are sent."""
    async with listening(lambda _: 204) as (url, calls):
        settings = Settings(database_url=SecretStr(database_url), worker_alert_webhook=SecretStr(url))
        judged = await add_change(settings, "site:1", reasons=["too many"])
        forged = judged.model_copy(update={"target": "total", "reasons": ["call 555-0100"]})
        admin = await asyncpg.connect(as_admin(stack, ""))
        name = database_url.rpartition("/")[2].partition("?")[0]
        with capture_logs() as logs:
            await admin.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
            telling = asyncio.create_task(
                GateNotifier(settings).tell([one.model_dump_json().encode() for one in (forged, judged)])
            )
            try:
                await wait_until(lambda: bool(logs), budget_seconds=20, describe="the look is refused")
                assert (logs[0]["event"], calls) == ("gate_verdicts_wait", [])
            finally:
                await admin.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true')
                await admin.close()
                await telling
    assert [json.loads(body)["data"]["target"] for _, body in calls] == ["site:1"]


async def test_on_the_command_line(stack, database_url, topic_prefix) -> None:
    """`gate check` exits by the verdict; `gate show` and `kpi` only show."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    environment = {"BRIDGE_DATABASE_URL": database_url}
    assert bridge("gate", "check", settings=environment).returncode == 0
    await add(settings, 1, 800, 0, 200)
    await add(settings, 2, 1000, 0, 0)
    failed = bridge("gate", "check", settings=environment)
    assert failed.returncode == 1
    assert b"site:1: 200 of 1000 dropped" in failed.stdout
    assert bridge("gate", "check", "--site-id", "2", settings=environment).returncode == 0
    assert bridge("gate", "check", "--site-id", "9", settings=environment).returncode == 0
    assert bridge("gate", "check", "--window", "30x", settings=environment).returncode == 3
    assert b"so that the least is 60s" in bridge("gate", "show", "--window", "5s", settings=environment).stderr
    shown = json.loads(bridge("gate", "show", "--json-output", "-", settings=environment).stdout)
    assert [(one["target"], one["passed"]) for one in shown] == [("site:1", False), ("site:2", True), ("total", False)]
    await add_dropped(database_url, [dropped(offset) for offset in range(200)])
    kpi = json.loads(bridge("kpi", "--json-output", "-", settings=environment).stdout)
    assert (kpi["total"]["finished"], kpi["total"]["success_rate_pct"]) == (2000, 90.0)
    assert b"90.000 %" in bridge("kpi", settings=environment).stdout


async def test_a_worker_judges_and_publishes(stack, database_url, topic_prefix) -> None:
    """A change marked as published is on the gate's topic under its target."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await add(settings, 1, 0, 200, 0)
    environment = {
        "BRIDGE_KAFKA_BOOTSTRAP_SERVERS": stack.kafka, "BRIDGE_DATABASE_URL": database_url, "BRIDGE_GROUP": settings.group,
        "BRIDGE_TOPIC_PREFIX": topic_prefix, "BRIDGE_TOPIC_PARTITIONS": "2", "BRIDGE_GATE_INTERVAL": "500ms",
    }  # fmt: skip
    conn = await asyncpg.connect(database_url)
    worker = start("worker", settings=environment, quiet=True)
    try:
        told = "SELECT count(*) = 2 FROM gate_state WHERE published AND NOT passed"
        await wait_until(lambda: conn.fetchval(told), budget_seconds=60, describe="both changes published")
        async with AIOKafkaConsumer(
            settings.topics.gate, **settings.kafka_client(), auto_offset_reset="earliest"
        ) as consumer:
            records = [await asyncio.wait_for(consumer.getone(), 60) for _ in range(2)]
    finally:
        worker.terminate()
        await asyncio.to_thread(worker.wait, 30)
        await conn.close()
    assert worker.returncode == 0
    assert {record.key for record in records} == {b"site:1", b"total"}
    assert {GateChange.model_validate_json(record.value).passed for record in records} == {False}
