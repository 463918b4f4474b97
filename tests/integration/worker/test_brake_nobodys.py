"""The circuit breaker and records that name no site: it closes without an operator."""

import time
from typing import Any

from support.events.settled import event, fetch, prepare, produce, settings_for, working
from support.wait import wait_until

from schemas.config.settings import Settings
from streams.audit import audit

JUNK = 3000
EVENTS = 6
BUDGET_SECONDS = 60


def settings_of(stack: Any, database_url: str, topic_prefix: str) -> Settings:
    return settings_for(
        stack.kafka, database_url, topic_prefix, batch_max_records=200, brake_probe_interval="1s", brake_window="2s"
    )


async def settled(settings: Settings, *, rows: int, letters: int) -> bool:
    counted = (
        "SELECT (SELECT count(*) FROM bridge_event) = $1"
        " AND (SELECT count(*) FROM bridge_event_raw WHERE disposition = 'open') = $2"
    )
    return bool((await fetch(settings, counted, rows, letters))[0][0])


async def times_engaged(settings: Settings) -> int:
    return int((await fetch(settings, "SELECT count(*) FROM script_run WHERE script = 'brake-engage'"))[0][0])


async def test_junk_before_anything_passed_is_settled_by_one_event_behind_it(stack, database_url, topic_prefix) -> None:
    """A new process trips on junk, and its probe closes the breaker once it finds a sound event behind.

    The breaker does not trip again.
    """
    settings = settings_of(stack, database_url, topic_prefix)
    await prepare(settings)
    await produce(settings, [b"x"] * JUNK)
    async with working(settings):
        await wait_until(lambda: times_engaged(settings), budget_seconds=BUDGET_SECONDS, describe="the brake on")
        await produce(settings, [event(number) for number in range(EVENTS)])
        await wait_until(
            lambda: settled(settings, rows=EVENTS, letters=JUNK), budget_seconds=BUDGET_SECONDS, describe="all settled"
        )
    assert await times_engaged(settings) == 1
    assert not (await fetch(settings, "SELECT engaged FROM brake"))[0][0]
    assert (await audit(settings)).balanced


async def test_junk_in_a_quiet_hour_engages_nothing(stack, database_url, topic_prefix) -> None:
    """Junk after a window without events does not trip a process in which events have passed before."""
    settings = settings_of(stack, database_url, topic_prefix)
    await prepare(settings)
    async with working(settings):
        await produce(settings, [event(number) for number in range(EVENTS)])
        await wait_until(
            lambda: settled(settings, rows=EVENTS, letters=0), budget_seconds=BUDGET_SECONDS, describe="the events"
        )
        quiet = time.monotonic() + settings.brake_limits.window_seconds
        await wait_until(lambda: time.monotonic() > quiet, budget_seconds=BUDGET_SECONDS, describe="a quiet window")
        await produce(settings, [b"x"] * JUNK)
        await wait_until(
            lambda: settled(settings, rows=EVENTS, letters=JUNK), budget_seconds=BUDGET_SECONDS, describe="all settled"
        )
    assert await times_engaged(settings) == 0
    assert (await audit(settings)).balanced
