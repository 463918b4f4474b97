"""The circuit breaker and visitors' events: junk does not stop the stream, a bad deployment still trips it."""

import time
from collections.abc import Iterable
from typing import Any

from support.events.sealed import gateway_headers
from support.events.settled import event, fetch, prepare, settings_for, working
from support.wait import wait_until

from schemas.config.settings import Settings
from schemas.pipeline.sender import Sender
from sinks.kafka.admin import started
from sinks.kafka.producer import make_producer
from streams.audit import audit

HOUR_MS = 3_600_000
BUDGET_SECONDS = 60


def settings_of(stack: Any, database_url: str, topic_prefix: str, **changed: Any) -> Settings:
    return settings_for(
        stack.kafka, database_url, topic_prefix, batch_max_records=200, brake_probe_interval="1s", **changed
    )


async def send(settings: Settings, values: Iterable[tuple[int, bytes]], sender: Sender) -> None:
    """Produce records as the gateway writes them: with its headers, the site and the proof of the sender class."""
    producer, keys = make_producer(settings), settings.proof_keys
    async with started(settings, producer):
        for number, (site, value) in enumerate(values):
            headers = gateway_headers(value, site_id=site, script_id=f"s{site}", sender=sender, keys=keys)
            await producer.send(
                settings.topics.raw, value, headers=headers, partition=number % settings.topic_partitions
            )
        await producer.flush()


def junk(count: int) -> list[tuple[int, bytes]]:
    """Invalid events of three sites in turn."""
    return [(number % 3 + 1, b"{}") for number in range(count)]


def events(numbers: Iterable[int], **changed: object) -> list[tuple[int, bytes]]:
    return [(number % 3 + 1, event(number, **changed)) for number in numbers]


async def count_rows(settings: Settings) -> int:
    return int((await fetch(settings, "SELECT count(*) FROM bridge_event"))[0][0])


async def dead_letters(settings: Settings) -> int:
    return int((await fetch(settings, "SELECT count(*) FROM bridge_event_raw WHERE disposition = 'open'"))[0][0])


async def engaged(settings: Settings) -> bool:
    found = await fetch(settings, "SELECT engaged FROM brake")
    return bool(found) and bool(found[0][0])


async def was_engaged(settings: Settings) -> bool:
    """Whether the breaker has ever tripped: the table has no row before that."""
    return bool(await fetch(settings, "SELECT 1 FROM brake"))


async def test_ten_thousand_junk_events_of_visitors_do_not_stop_the_others(stack, database_url, topic_prefix) -> None:
    """Ten thousand junk events of visitors, in bursts, neither trip the breaker nor delay the servers' events."""
    settings = settings_of(stack, database_url, topic_prefix)
    await prepare(settings)
    async with working(settings):
        await send(settings, events(range(4)), Sender.SERVER)
        await wait_until(lambda: _counts(settings, rows=4), budget_seconds=BUDGET_SECONDS, describe="the first rows")
        for burst in range(1, 6):
            await send(settings, junk(2000), Sender.VISITOR)
            await send(settings, events(range(4 * burst, 4 * burst + 4)), Sender.SERVER)
            here = 4 * burst + 4
            await wait_until(
                lambda here=here: _counts(settings, rows=here),
                budget_seconds=BUDGET_SECONDS,
                describe="the servers' rows",
            )
            assert not await was_engaged(settings)
        await wait_until(
            lambda: _counts(settings, letters=10_000), budget_seconds=BUDGET_SECONDS, describe="the dead letters"
        )
    assert not await was_engaged(settings)
    report = await audit(settings)
    assert report.balanced, report.problems
    assert (report.totals.persisted, report.totals.dropped) == (24, 10_000)


async def test_junk_before_anything_passed_is_let_go_by_the_first_event_that_passes(
    stack, database_url, topic_prefix
) -> None:
    """A new process trips on junk as on a bad deployment; the first sound event behind it closes the breaker."""
    settings = settings_of(stack, database_url, topic_prefix)
    await prepare(settings)
    await send(settings, junk(6000), Sender.VISITOR)
    async with working(settings):
        await wait_until(lambda: engaged(settings), budget_seconds=BUDGET_SECONDS, describe="the brake on")
        assert await dead_letters(settings) < 1000
        await send(settings, events([0]), Sender.SERVER)
        await wait_until(lambda: _counts(settings, rows=1), budget_seconds=BUDGET_SECONDS, describe="the good event")
        await wait_until(
            lambda: _counts(settings, letters=6000), budget_seconds=BUDGET_SECONDS, describe="the dead letters"
        )
        assert not await engaged(settings)
    assert (await audit(settings)).balanced


async def test_a_bad_deployment_is_braked_where_only_visitors_send(stack, database_url, topic_prefix) -> None:
    """A bad deployment dead-letters few of the visitors' events.

    A fixed one closes the breaker and persists the others.
    """
    settings = settings_of(stack, database_url, topic_prefix)
    bad = settings_of(stack, database_url, topic_prefix, occurred_at_max_age="1h")
    await prepare(settings)
    old = time.time_ns() // 1_000_000 - 2 * HOUR_MS
    await send(settings, events(range(3000), occurred_at=old), Sender.VISITOR)
    async with working(bad):
        await wait_until(lambda: engaged(settings), budget_seconds=BUDGET_SECONDS, describe="the brake on")
    lost = await dead_letters(settings)
    assert lost < 1000
    async with working(settings):
        await wait_until(
            lambda: _counts(settings, rows=3000 - lost), budget_seconds=BUDGET_SECONDS, describe="the rows"
        )
    assert not await engaged(settings)
    assert await dead_letters(settings) == lost
    assert (await audit(settings)).balanced


async def _counts(settings: Settings, *, rows: int = 0, letters: int = 0) -> bool:
    return await count_rows(settings) >= rows and await dead_letters(settings) >= letters
