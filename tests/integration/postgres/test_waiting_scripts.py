"""Scripts whose events wait for a retry: `gate show` and the doctor name them before anything is dropped."""

import asyncio
from datetime import UTC, datetime

import asyncpg
import pytest
from support.processes.command import bridge

from sinks.postgres.stats import server as vitals
from sinks.postgres.stats.server import waiting_scripts

SINCE = datetime(2026, 11, 29, 6, 41, 7, tzinfo=UTC)
_WAITS = """
INSERT INTO bridge_event_raw (
    raw_topic, raw_partition, raw_offset, site_id, script_id, record_time, received_at, retry_count, next_retry_at,
    first_failed_at, last_error, error_class, normalized
)
SELECT 't', 0, $1 + n, $2, $3, $5, $5, 1 + n % 2, now() + n * interval '1 second', $5::timestamptz + n * interval '1 second', 'e', $4, false
FROM generate_series(0, $6 - 1) AS n
"""


@pytest.fixture
async def waiting(database_url: str) -> str:
    """Five events of an unregistered script, three of another organisation's, one without a readable site."""
    conn = await asyncpg.connect(database_url)
    try:
        await conn.execute("INSERT INTO org (org_id) VALUES (2); INSERT INTO site (site_id, org_id) VALUES (21, 2)")
        for first, site, script, error_class, count in (
            (0, 21, "summer-drop", "unknown_script", 5),
            (10, 31, "app", "unsupported_schema_version", 3),
            (20, None, None, "unknown_script", 1),
        ):
            await conn.execute(_WAITS, first, site, script, error_class, SINCE, count)
    finally:
        await conn.close()
    return database_url


async def test_gate_show_names_the_scripts_that_wait(waiting: str) -> None:
    """Scripts are shown with site, organisation, error class, count and first failure, the most frequent first."""
    settings = {"BRIDGE_DATABASE_URL": waiting}
    shown = (await asyncio.to_thread(bridge, "gate", "show", settings=settings)).stdout.decode()
    assert [line.split() for line in shown.splitlines()[-3:]] == [
        ["5", "summer-drop", "21", "2", "unknown_script", "2026-11-29T06:41:07Z", "2"],
        ["3", "app", "31", "unsupported_schema_version", "2026-11-29T06:41:07Z", "2"],
        ["1", "unknown_script", "2026-11-29T06:41:07Z", "1"],
    ]
    of_one = (await asyncio.to_thread(bridge, "gate", "show", "--site-id", "31", settings=settings)).stdout.decode()
    assert "app" in of_one
    assert "summer-drop" not in of_one


async def test_only_so_many_waiting_events_are_looked_at(waiting: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to MOST_WAITING events are read, those that are due first, and their number is shown."""
    monkeypatch.setattr(vitals, "MOST_WAITING", 6)
    found = await waiting_scripts(waiting, 10)
    assert {one.looked_at for one in found} == {sum(one.waiting for one in found)} == {6}
    assert len(await waiting_scripts(waiting, 1)) == 1
