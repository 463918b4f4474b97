"""The circuit breaker and organisations: events that pass in another process keep two of them from tripping it."""

from typing import Any

import pytest
from support.events.settled import event, fetch, produce, settings_for, working
from support.wait import wait_until

from schemas.config.settings import Settings
from sinks.kafka.topics import apply_topics
from sinks.postgres.registry.admin import add_script

BAD = 400
BUDGET_SECONDS = 60
HOUR_AGO = "UPDATE gate_window SET window_start = window_start - interval '1 hour'"


@pytest.fixture
async def settings(stack: Any, database_url: str, topic_prefix: str) -> Settings:
    """Six organisations with a site each. The events of all but two have become rows in another process."""
    made = settings_for(
        stack.kafka, database_url, topic_prefix, batch_max_records=100, brake_min_events=100, brake_run_length=100
    )
    await apply_topics(made)
    for site in range(1, 7):
        await add_script(made.dsn, f"s{site}", site, org_id=site)
    async with working(made):
        await produce(made, [of(site, site) for site in (3, 4, 5, 6)])
        await wait_until(lambda: counted(made, rows=4), budget_seconds=BUDGET_SECONDS, describe="the rows")
    return made


def of(site: int, number: int, **changed: object) -> bytes:
    return event(number, site_id=site, script_id=f"s{site}", **changed)


def bad(*sites: int, start: int = 0) -> list[bytes]:
    return [of(sites[number % len(sites)], 1000 + start + number, event_type="") for number in range(BAD)]


async def counted(settings: Settings, *, rows: int = 4, letters: int = 0) -> bool:
    found = "SELECT (SELECT count(*) FROM bridge_event), (SELECT count(*) FROM bridge_event_raw)"
    return tuple((await fetch(settings, found))[0]) == (rows, letters)


async def was_engaged(settings: Settings) -> bool:
    """Whether the breaker has ever tripped: the table has no row before that."""
    return bool(await fetch(settings, "SELECT 1 FROM brake"))


async def test_two_organisations_do_not_trip_it_while_others_pass_in_another_process(settings: Settings) -> None:
    """A new process reads nothing but the failures of two organisations. Without the others' windows it trips."""
    await produce(settings, bad(1, 2))
    async with working(settings):
        await wait_until(
            lambda: counted(settings, letters=BAD), budget_seconds=BUDGET_SECONDS, describe="the dead letters"
        )
    assert not await was_engaged(settings)
    await fetch(settings, HOUR_AGO)
    await produce(settings, bad(1, 2, start=BAD))
    async with working(settings):
        await wait_until(lambda: was_engaged(settings), budget_seconds=BUDGET_SECONDS, describe="the brake on")


async def test_one_organisation_does_not_trip_it_for_a_day(settings: Settings) -> None:
    """Nobody else sends for an hour. The breaker trips if nobody else has sent at all."""
    await fetch(settings, HOUR_AGO)
    await produce(settings, bad(1))
    async with working(settings):
        await wait_until(
            lambda: counted(settings, letters=BAD), budget_seconds=BUDGET_SECONDS, describe="the dead letters"
        )
    assert not await was_engaged(settings)
    await fetch(settings, "UPDATE site SET org_id = 1")
    await produce(settings, bad(1, start=BAD))
    async with working(settings):
        await wait_until(lambda: was_engaged(settings), budget_seconds=BUDGET_SECONDS, describe="the brake on")
