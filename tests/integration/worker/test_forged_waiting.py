"""Waiting rows that no worker has written: they stop no other event's retry, and fill no memory."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from support.events.settled import LATE_SCRIPT, event, fetch, prepare, produce, settings_for, working
from support.wait import wait_until

from bridge.dev.stack import StackAddresses
from schemas.config.settings import Settings
from schemas.instants import now_ms
from schemas.pipeline.ledger import Scope
from schemas.pipeline.pause import PauseKind
from sinks.postgres import sink as postgres_sink
from sinks.postgres.registry.admin import add_script
from sinks.postgres.registry.pauses import start_pause
from sinks.postgres.sink import PostgresSink
from streams.worker.retry_reaper import sweep

OTHERS = 6
FORGED = 10**12
KIB = 1024
UNBOUNDED = "DROP TRIGGER bridge_event_raw_limits ON bridge_event_raw"
INSERT = (
    "INSERT INTO bridge_event_raw (raw_topic, raw_partition, raw_offset, site_id, script_id, event_id, sender, payload,"
    " record_key, headers, record_time, received_at, first_failed_at, last_error, error_class, normalized, retry_count,"
    " next_retry_at) VALUES ($1, 0, $2, 2, $3, 'forged', 'server', $4, $5, $6, now(), $7, now(), 'x', 'script_paused',"
    " false, $8, now() - interval '1 hour')"
)


async def forge(settings: Settings, offset: int = FORGED, **changed: Any) -> None:
    """Insert a waiting row, as the worker's account can."""
    value = event(1, event_id="forged", occurred_at=changed.pop("occurred_at", now_ms()))
    row = {
        "script_id": "s2", "payload": value, "record_key": None, "headers": None, "received_at": datetime.now(UTC),
        "retry_count": 1,
    } | changed  # fmt: skip
    await fetch(settings, INSERT, settings.topics.raw, offset, *row.values())


async def others_heal(settings: Settings) -> None:
    """Check that the retries of another site's events are committed, although the forged row is retried too."""
    await produce(settings, [event(number, script_id=LATE_SCRIPT, site_id=1) for number in range(OTHERS)])

    async def all_wait() -> bool:
        rows = await fetch(settings, "SELECT FROM bridge_event_raw WHERE script_id = $1", LATE_SCRIPT)
        return len(rows) == OTHERS

    async def forged_read() -> bool:
        (row,) = await fetch(settings, "SELECT next_retry_at > now() - interval '30 min' IS NOT FALSE AS read"
                             " FROM bridge_event_raw WHERE raw_offset = $1", FORGED)  # fmt: skip
        return bool(row["read"])

    async def forged_ended() -> bool:
        return (await dropped(settings))[0] is not None

    async def healed() -> bool:
        rows = await fetch(settings, "SELECT FROM bridge_event WHERE script_id = $1", LATE_SCRIPT)
        return len(rows) == OTHERS

    async with working(settings):
        await wait_until(all_wait, budget_seconds=30, describe="the others' events in the ledger")
        while not await forged_read():
            await sweep(settings)
            await asyncio.sleep(0.1)
        await add_script(settings.dsn, LATE_SCRIPT, 1)
        await wait_until(healed, budget_seconds=20, describe="the others' retries")
        await wait_until(forged_ended, budget_seconds=20, describe="the end of the forged event")


async def dropped(settings: Settings) -> tuple[str | None, str, int]:
    """Return reason, error and count of the forged row."""
    (row,) = await fetch(settings, "SELECT dropped_reason, last_error, retry_count FROM bridge_event_raw"
                         " WHERE raw_offset = $1", FORGED)  # fmt: skip
    return row["dropped_reason"], row["last_error"], row["retry_count"]


@pytest.fixture
async def settings(stack: StackAddresses, database_url: str, topic_prefix: str) -> Settings:
    chosen = settings_for(
        stack.kafka, database_url, topic_prefix, retry_delays=("1s",), max_retries=20, sweep_after="1s"
    )
    await prepare(chosen)
    return chosen


@pytest.mark.parametrize("year", [2001, 9000])
async def test_an_event_without_a_month_stops_no_other_retry(settings: Settings, year: int) -> None:
    """The event of a month that was removed, or is never made, becomes a dead letter."""
    moment = datetime(year, 1, 1, tzinfo=UTC)
    await forge(settings, received_at=moment, occurred_at=round(moment.timestamp() * 1000))
    await others_heal(settings)
    reason, error, _ = await dropped(settings)
    assert reason == "sink_rejected_row"
    assert f"none to come, for {year}-01" in error


async def test_the_last_number_of_an_attempt_stops_no_other_retry(settings: Settings) -> None:
    """A row of before the bound, whose script is paused, is dropped: its column holds no next attempt."""
    await fetch(settings, UNBOUNDED)
    await forge(settings, retry_count=2**31 - 1)
    await start_pause(settings.dsn, PauseKind.SCRIPT, "s2", "test")
    await others_heal(settings)
    reason, error, count = await dropped(settings)
    assert (reason, count) == ("retry_exhausted", 2**31 - 1)
    assert "paused" in error


async def test_what_waits_is_no_more_than_a_worker_writes(settings: Settings) -> None:
    """The largest row that is retried is accepted, and nothing beyond."""
    large: dict[str, Any] = {
        "retry_count": 10**9 - 1, "payload": b"x" * 64 * KIB, "record_key": b"x" * 64 * KIB,
        "headers": json.dumps([["x" * 64 * KIB, None]]).encode(), "script_id": "x" * 1024,
    }  # fmt: skip
    await forge(settings, **large)
    beyond: dict[str, Any] = {
        "retry_count": 10**9, "payload": b"x" * (64 * KIB + 1), "record_key": b"x" * (64 * KIB + 1),
        "headers": b"x" * 500_001, "script_id": "x" * 1025,
    }  # fmt: skip
    for name, value in beyond.items():
        with pytest.raises(asyncpg.CheckViolationError, match=name):
            await forge(settings, FORGED + 1, **{name: value})


async def test_what_is_due_is_read_in_pages(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page has a limit in bytes as well as in rows, and at least one row."""
    await fetch(settings, UNBOUNDED)
    for number in range(5):
        await forge(settings, FORGED + number, payload=b"x" * 700 * KIB, record_key=b"x" * 200 * KIB, headers=b"[]")
    sink = PostgresSink(settings.dsn, settings.group)
    try:
        for most, rows in ((4 * 1024 * KIB, 4), (901 * KIB, 1), (KIB, 1), (16 * 1024 * KIB, 5)):
            monkeypatch.setattr(postgres_sink, "DUE_BYTES", most)
            page = await sink.due(now_ms(), Scope(), 1000)
            assert [one.provenance.offset for one in page] == [FORGED + number for number in range(rows)]
        assert len(await sink.due(now_ms(), Scope(), 3)) == 3
    finally:
        await sink.close()
