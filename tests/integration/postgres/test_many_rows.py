"""Very many rows that a worker's account may write occupy no worker's event loop, and make no series or verdicts."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs
from support.infrastructure.accounts import execute
from support.infrastructure.databases import as_admin

from bridge.dev.stack import StackAddresses
from schemas.config.settings import Settings
from schemas.documents.gate import Verdict, WindowLimits, WindowSums
from schemas.reasons import DroppedReason, ErrorClass
from sinks.postgres.gate.verdicts import Claim, failing, judge, standing_changes, window_sums
from sinks.postgres.ledger.retry_reaper import overdue_partitions
from sinks.postgres.stats.backlog import read_backlog, shown
from streams.rules.gate import window_rule
from streams.rules.retry_policy import tier_labels
from telemetry import metrics

MANY = 30_000
FAILED = (
    "INSERT INTO gate_window SELECT date_trunc('minute', now()), n, 't', 0, false, 1000, 0, 0, 1000, 0, 1000, 0, 0, 0"
    " FROM generate_series({first}, {last}) AS n"
)
STATES = (
    "INSERT INTO gate_state (target, passed, change, changed_at)"
    " SELECT 'site:' || n, false, '{change}', now() - interval '1 day' FROM generate_series({first}, {last}) AS n"
)
LONG = '{"reasons": ["' + "x" * 10_000 + '"], "window_seconds": 60, "processed": 1, "retried": 0, "dropped": 1}'
WAITING = (
    "INSERT INTO bridge_event_raw (raw_topic, raw_partition, raw_offset, record_time, received_at, first_failed_at, last_error,"
    " error_class, normalized, retry_count, next_retry_at, sender) SELECT 't', {last} - n, n, now(), now(), now(), 'x',"
    " 'c' || n, false, n, to_timestamp(0), 's' || n FROM generate_series(1, {last}) AS n"
)
OPEN = (
    "INSERT INTO bridge_event_raw (raw_topic, raw_partition, raw_offset, record_time, received_at, first_failed_at, last_error,"
    " error_class, normalized, dropped_reason, disposition) SELECT 'u', 0, n, now(), now(), now(), 'x',"
    " 'schema_violation', true, CASE WHEN n = 1 THEN 'schema_violation' ELSE 'r' || n END, 'open' FROM generate_series(1, 500) AS n"
)


@pytest.fixture
def database_url(stack: StackAddresses, database_url: str) -> str:
    """The superuser's URL."""
    return as_admin(stack, database_url)


@asynccontextmanager
async def loop_kept_free(seconds: float) -> AsyncIterator[None]:
    """Check that nothing occupies the event loop for as many seconds of processor time at a time."""
    held = [0.0]

    async def observe() -> None:
        while True:
            began = time.thread_time()
            await asyncio.sleep(0.001)
            held.append(time.thread_time() - began)

    observer = asyncio.create_task(observe())
    await asyncio.sleep(0)
    try:
        yield
        await asyncio.sleep(0.002)
    finally:
        observer.cancel()
    assert max(held) < seconds


def limits() -> WindowLimits:
    found = Settings().gate_limits
    assert isinstance(found, WindowLimits)
    return found


async def test_unregistered_sites_that_are_evaluated_are_limited(database_url: str) -> None:
    """Rows of the others count in the total. Registered sites, site 0 and the total are always evaluated."""
    await execute(
        database_url,
        "INSERT INTO site (site_id) VALUES (90000), (90001)",
        FAILED.format(first=1000, last=999 + MANY),
        FAILED.format(first=90000, last=90000),
        FAILED.format(first=0, last=0),
        STATES.format(first=1000, last=999 + MANY, change="{}"),
    )
    async with loop_kept_free(0.2):
        changes = await judge(database_url, 300, window_rule(limits()))
        found = await window_sums(database_url, 300)
        failed = await failing(database_url)
    still_failing = (await read_backlog(database_url, "g")).state.gate_failing_sites
    assert {"site:0", "site:90000", "total"} <= {one.target for one in changes}
    assert next(one.dropped for one in changes if one.target == "total") == 1000 * (MANY + 2)
    assert len(found) == len(failed) == 1004
    assert still_failing > MANY - 2 * 1004


async def test_verdicts_of_registered_sites_come_first(database_url: str) -> None:
    """However many verdicts of unregistered sites are older."""
    await execute(
        database_url,
        "INSERT INTO site (site_id) VALUES (1)",
        STATES.format(first=1000, last=4000, change="{}"),
        STATES.format(first=1, last=1, change="{}").replace("1 day", "1 hour"),
    )
    assert "site:1" in {one.target for one in await failing(database_url)}
    changes = await judge(database_url, 300, window_rule(limits()))
    assert ("site:1", True) in {(one.target, one.passed) for one in changes}


async def test_many_sites_are_evaluated_in_turns(database_url: str) -> None:
    """Sites that are registered have no limit."""
    await execute(
        database_url, "INSERT INTO site (site_id) SELECT generate_series(1, 200)", FAILED.format(first=1, last=200)
    )

    def slow(_: WindowSums, failing: bool) -> Verdict:
        until = time.thread_time() + 0.001
        while time.thread_time() < until:
            pass
        return Verdict(passed=not failing)

    async with loop_kept_free(0.1):
        assert await judge(database_url, 300, slow) == []


async def test_changes_that_no_evaluation_wrote_keep_no_other_from_being_published(database_url: str) -> None:
    """However many and however long; each is logged once."""
    await execute(
        database_url,
        "INSERT INTO site (site_id) SELECT generate_series(1, 1001)",
        STATES.format(first=1, last=1000, change="{}"),
        STATES.format(first=1001, last=1001, change=LONG),
        FAILED.format(first=1, last=1001),
    )
    with capture_logs() as logs:
        assert await judge(database_url, 300, window_rule(limits())) == []
        assert [one.target for one in await judge(database_url, 300, window_rule(limits()))] == ["total"]
        assert [one.target for one in await judge(database_url, 300, window_rule(limits()))] == ["total"]
    assert len([one for one in logs if one["event"] == "gate_change_unreadable"]) == 1001


async def test_a_long_change_is_not_read_for_the_webhook(database_url: str) -> None:
    """A record of the gate's topic may name very many of them."""
    change_id = "00000000-0000-4000-8000-000000000001"
    await execute(
        database_url,
        STATES.format(first=1, last=1, change=LONG),
        f"UPDATE gate_state SET change_id = '{change_id}'",
    )
    assert await standing_changes(database_url, [Claim("site:1", change_id)]) == []


async def test_unknown_reasons_and_classes_are_one_series(database_url: str) -> None:
    """Their events are counted."""
    await execute(database_url, WAITING.format(last=500), OPEN)
    found = await read_backlog(database_url, "g")
    assert {one.dropped_reason: one.open for one in found.dead_letters} == {"schema_violation": 1, "other": 499}
    assert len(found.retries) <= 16 * (len(ErrorClass) + 1)
    series = shown(found, tier_labels(Settings()))
    assert sum(count for (metric, _), count in series.items() if metric is metrics.RETRIES_WAITING) == 500
    assert sum(metric is metrics.DEAD_LETTERS_OPEN for metric, _ in series) <= len(DroppedReason) + 1


async def test_the_retry_reaper_considers_as_many_partitions_as_a_topic_may_have(database_url: str) -> None:
    """Those with the lowest numbers, which a topic has."""
    await execute(database_url, WAITING.format(last=10_001))
    assert await overdue_partitions(database_url, 1000) == set(range(10_000))
