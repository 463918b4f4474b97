"""The retry reaper republishes lost retry copies: once each, a bounded number per round, and never because of lag."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiokafka import TopicPartition as KafkaPartition
from aiokafka.admin import RecordsToDelete
from structlog.testing import capture_logs
from support.events.settled import (
    LATE_SCRIPT,
    environment_of,
    event,
    fetch,
    open_transaction,
    prepare,
    produce,
    settings_for,
    working,
)
from support.processes.command import start
from support.wait import wait_until

from schemas.config.duration import Duration
from schemas.config.settings import Settings
from sinks.kafka.admin import kafka_admin, log_bounds
from sinks.kafka.topics import apply_topics
from sinks.postgres.audit.snapshot import acknowledge_lost, read_snapshot
from sinks.postgres.registry.admin import add_script
from sinks.postgres.runs.history import run_lock
from streams.audit import audit
from streams.worker.retry_reaper import sweep
from telemetry import metrics

WAITING = 20
Lose = Callable[[Settings], Awaitable[Settings]]


async def empty_the_retry_topics(settings: Settings) -> Settings:
    ends = await log_bounds(settings, settings.topics.retries)
    async with kafka_admin(settings) as client:
        await client.delete_records(
            {KafkaPartition(*place): RecordsToDelete(before_offset=log.end) for place, log in ends.items() if log.end}
        )
    return settings


async def take_the_tier_out_of_use(settings: Settings) -> Settings:
    changed = settings.model_copy(update={"retry_delays": (Duration("300ms"),)})
    await apply_topics(changed)
    return changed


async def waiting(settings: Settings) -> int:
    return int((await fetch(settings, "SELECT count(*) FROM bridge_event_raw WHERE NOT normalized"))[0][0])


async def overdue(settings: Settings, count: int) -> bool:
    statement = "SELECT count(*) FROM bridge_event_raw WHERE NOT normalized AND next_retry_at < now() - interval '1 s'"
    return bool((await fetch(settings, statement))[0][0] == count)


async def wait_for_copies(stack: object, database_url: str, prefix: str) -> Settings:
    """Events whose retry copies are due and unread; no worker runs.

    They failed for a missing script, which has been registered since.
    """
    settings = settings_for(
        stack.kafka, database_url, prefix, retry_delays=("2s",), sweep_after="1s"  # type: ignore[attr-defined]
    )  # fmt: skip
    await prepare(settings)
    await fill_the_ledger(settings)
    return settings


async def fill_the_ledger(settings: Settings) -> None:
    """Let events fail and become overdue; their script is registered by then."""
    await produce(settings, [event(number, script_id=LATE_SCRIPT, site_id=1) for number in range(WAITING)])

    async def all_wait() -> bool:
        return await waiting(settings) == WAITING

    async with working(settings):
        await wait_until(all_wait, budget_seconds=30, describe="all events in the ledger")
    await add_script(settings.dsn, LATE_SCRIPT, 1)
    await wait_until(lambda: overdue(settings, WAITING), budget_seconds=30, describe="all events overdue")


async def retries_read(settings: Settings) -> bool:
    ends = await log_bounds(settings, settings.topics.retries)
    rows = await fetch(settings, "SELECT topic, partition, next_offset FROM stream_offset WHERE group_id = $1",
                       settings.group)  # fmt: skip
    positions = {(row["topic"], row["partition"]): row["next_offset"] for row in rows}
    return all(positions.get(place, -1) >= log.end for place, log in ends.items())


async def test_copies_behind_an_open_transaction_are_not_gone(stack, database_url, topic_prefix) -> None:
    """No worker can read them yet, but they will be read: a second copy would be one too many."""
    settings = settings_for(stack.kafka, database_url, topic_prefix, retry_delays=("2s",), sweep_after="1s")
    await prepare(settings)
    async with open_transaction(settings, *settings.topics.retries):
        await fill_the_ledger(settings)

        assert await sweep(settings) == 0


@pytest.mark.parametrize("lose", [empty_the_retry_topics, take_the_tier_out_of_use])
async def test_copies_that_are_gone_are_published_again(stack, database_url, topic_prefix, lose: Lose) -> None:
    """Lost copies are republished once each by one of several reapers, at most `sweep_limit` per round.

    Copies that may still be read are not republished.
    """
    settings = await wait_for_copies(stack, database_url, topic_prefix)
    assert await sweep(settings) == 0, "the copies are there, and only lag"

    settings = await lose(settings)
    assert await sweep(settings) == 0, "nobody has looked yet whether there is a copy"
    before = metrics.SWEPT._value.get()
    few = settings.model_copy(update={"sweep_limit": 8})
    async with working(settings):
        await wait_until(lambda: retries_read(settings), budget_seconds=30, describe="the retry topics read")
    # No worker runs now, so no event is retried between two rounds.
    assert await waiting(settings) == WAITING
    published = await asyncio.gather(*(sweep(few) for _ in range(3)))
    assert sorted(one or 0 for one in published) == [0, 0, 8]
    assert await sweep(settings) == WAITING - 8
    assert await sweep(settings) == 0, "what was published again is on its way"
    async with working(settings):
        await wait_until(lambda: none_waits(settings), budget_seconds=30, describe="all healed")
        await wait_until(lambda: retries_read(settings), budget_seconds=30, describe="the retry topics read")
    assert metrics.SWEPT._value.get() - before == WAITING
    await proven(settings)


async def none_waits(settings: Settings) -> bool:
    return await waiting(settings) == 0


async def proven(settings: Settings) -> None:
    """Check that every event succeeded at its second attempt, and that the audit balances without the lost copies."""
    rows = await fetch(settings, "SELECT attempt, event_id FROM bridge_event")
    assert sorted(row["event_id"] for row in rows) == sorted(f"e-{number}" for number in range(WAITING))
    assert {row["attempt"] for row in rows} == {2}
    for source, one in (await read_snapshot(settings, deep=False)).offsets.items():
        if one.lost:
            await acknowledge_lost(settings, source)
    report = await audit(settings)
    assert report.balanced, report.problems


async def test_a_copy_that_turns_up_after_all_is_stale(stack, database_url, topic_prefix) -> None:
    """Two copies have one token: the event is committed once, and the second copy counts as stale."""
    settings = await wait_for_copies(stack, database_url, topic_prefix)
    # Simulates a first round with a wrong clock: by the positions, every copy has been read.
    await fetch(settings, "UPDATE stream_offset SET next_offset = next_offset + 1000 WHERE topic LIKE '%retry%'")
    assert await sweep(settings) == WAITING
    await fetch(settings, "UPDATE stream_offset SET next_offset = next_offset - 1000 WHERE topic LIKE '%retry%'")
    async with working(settings):
        await wait_until(lambda: retries_read(settings), budget_seconds=30, describe="both copies of each read")
    assert (await fetch(settings, "SELECT sum(stale)::int AS stale FROM stream_offset"))[0]["stale"] == WAITING
    await proven(settings)


async def test_what_failed_for_a_reason_of_a_later_release_is_published_again(
    stack, database_url, topic_prefix
) -> None:
    """An error class of a later release doesn't exclude a row from the republication."""
    settings = await empty_the_retry_topics(await wait_for_copies(stack, database_url, topic_prefix))
    await fetch(settings, "UPDATE bridge_event_raw SET error_class = 'of_a_later_release'")
    async with working(settings):
        await wait_until(lambda: retries_read(settings), budget_seconds=30, describe="what is left of the copies read")
    assert await sweep(settings) == WAITING


async def test_a_worker_sweeps_by_itself(stack, database_url, topic_prefix) -> None:
    """The worker's timer republishes the copies without a command."""
    settings = await empty_the_retry_topics(await wait_for_copies(stack, database_url, topic_prefix))
    worker = start(
        "worker",
        settings=environment_of(settings, BRIDGE_SWEEP_AFTER="1s", BRIDGE_SWEEP_INTERVAL="1s"),
        quiet=True,
    )
    try:
        await wait_until(lambda: none_waits(settings), budget_seconds=60, describe="all healed")
    finally:
        worker.terminate()
        assert worker.wait(30) == 0
    await proven(settings)


async def test_a_lock_that_stays_held_is_reported(settings: Settings) -> None:
    """Processes that meet at the lock once write no warning."""
    async with run_lock(settings.dsn, f"sweep:{settings.group}", "the sweep"):
        with capture_logs() as lines:
            assert await sweep(settings, locked_before=False) is None
            assert await sweep(settings, locked_before=True) is None
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("retry_sweep_locked", "debug"), ("retry_sweep_locked", "warning"),
    ]  # fmt: skip
