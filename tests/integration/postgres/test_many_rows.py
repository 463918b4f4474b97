"""Very many rows that a worker's account may write occupy no worker's event loop, and make no series or verdicts."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs
from support.events.settled import prepare, settings_for
from support.infrastructure.accounts import execute
from support.infrastructure.databases import as_admin

from bridge.dev.stack import StackAddresses
from bridge.jobs import cancel
from bridge.jobs.cancel import cancel_job
from bridge.jobs.frame import RunOptions, perform
from schemas.config.settings import Settings
from schemas.documents.gate import Verdict, WindowLimits, WindowSums
from schemas.pipeline.record import Provenance, TopicPartition
from schemas.reasons import DroppedReason, ErrorClass
from sinks.postgres.audit import snapshot
from sinks.postgres.audit.snapshot import read_snapshot
from sinks.postgres.connection import Connection, connection
from sinks.postgres.gate.verdicts import Claim, failing, judge, standing_changes, window_sums
from sinks.postgres.ledger.retry_reaper import overdue_partitions
from sinks.postgres.offsets import admin
from sinks.postgres.offsets.admin import stored_offsets
from sinks.postgres.replay_items.items import let_go as release
from sinks.postgres.replays import plans
from sinks.postgres.replays.plans import outcomes
from sinks.postgres.stats import top
from sinks.postgres.stats.backlog import read_backlog, shown
from sinks.postgres.stats.top import read_activity
from streams.audit import judge as judge_audit
from streams.rules.gate import window_rule
from streams.rules.retry_policy import tier_labels
from streams.worker.retry_reaper import sweep
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
OFFSETS = (
    "INSERT INTO stream_offset (group_id, topic, partition, base_offset, next_offset, updated_at)"
    " SELECT '{group}', {topic}, {partition}, 0, 0, '9999-01-01' FROM generate_series(2, {last}) AS n"
)
FORGED = (("'junk.' || n", "0"), ("'{topic}#' || n", "0"), ("'{topic}'", "n"))
"""Logs of many topics, of one partition, and of many partitions."""
PLAN = "00000000-0000-4000-8000-000000000001"
PLANNED = (
    (
        "INSERT INTO replay (replay_id, requested_by, filter, planned, sent_to, state)"
        " VALUES ('{plan}', 'x', '{{}}', {last}, 0, 'stopped')"
    ),
    (
        "INSERT INTO replay_item (replay_id, position, raw_topic, raw_partition, raw_offset, forecast)"
        " SELECT '{plan}', n, 't', 0, n, 'passes' FROM generate_series(1, {last}) AS n"
    ),
    (
        "INSERT INTO bridge_event_raw (raw_topic, raw_partition, raw_offset, record_time, received_at, first_failed_at, last_error,"
        " error_class, normalized, dropped_reason, disposition, replay_id) SELECT 't', 0, n, now(), now(), now(), 'x',"
        " 'schema_violation', true, 'schema_violation', 'claimed', '{plan}' FROM generate_series(1, {last}) AS n"
    ),
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


async def test_replays_that_wait_are_counted_apart(database_url: str) -> None:
    """Regardless of who sent the event first."""
    for sender in ("server", "visitor"):
        await execute(
            database_url,
            "DELETE FROM bridge_event_raw",
            WAITING.format(last=3),
            f"UPDATE bridge_event_raw SET sender = '{sender}'",
            "UPDATE bridge_event_raw SET replay_of = 'bridge.raw:0:0' WHERE raw_partition > 1",
        )
        found = shown(await read_backlog(database_url, "g"), lambda *_: "15s")
        told = {labels[1]: count for (metric, labels), count in found.items() if metric is metrics.RETRIES_WAITING}
        assert told == {sender: 2, "replay": 1}


async def test_the_retry_reaper_considers_as_many_partitions_as_a_topic_may_have(database_url: str) -> None:
    """Those with the lowest numbers, which a topic has."""
    await execute(database_url, WAITING.format(last=10_001))
    assert await overdue_partitions(database_url, 1000) == set(range(10_000))


def forged(settings: Settings, topic: str, last: int = MANY) -> list[str]:
    """Statements that add very many rows of `stream_offset` to the group."""
    return [
        OFFSETS.format(group=settings.group, topic=name.format(topic=topic), partition=partition, last=last)
        for name, partition in FORGED
    ]


async def test_the_retry_reaper_reads_the_current_logs_only(
    stack: StackAddresses, database_url: str, topic_prefix: str
) -> None:
    """However many logs the group has."""
    settings = settings_for(stack.kafka, database_url, topic_prefix, sweep_after="0s")
    await prepare(settings)
    await execute(database_url, WAITING.format(last=2), *forged(settings, settings.topics.retries[0]))
    with capture_logs() as logs:
        async with loop_kept_free(0.1):
            assert await sweep(settings) == 0
    assert not [one for one in logs if one["log_level"] == "warning"]


async def test_positions_are_those_of_the_current_logs(database_url: str) -> None:
    """One for each partition that is asked for."""
    settings = Settings(database_url=SecretStr(database_url))
    places = (("t", 0), ("t#2", 0), ("t#10", 0), ("t#xyz", 0), ("t", 1), ("t", 2), ("u", 0))
    await execute(
        database_url,
        "ALTER TABLE stream_offset DROP CONSTRAINT stream_offset_logs",
        *(
            OFFSETS.format(group=settings.group, topic=f"'{topic}'", partition=partition, last=2)
            for topic, partition in places
        ),
        "UPDATE stream_offset SET next_offset = 10 WHERE topic = 't#10'",
        "UPDATE stream_offset SET held = 'breaker' WHERE partition = 1",
    )
    asked = [TopicPartition("t", 0), TopicPartition("t", 1), TopicPartition("v", 0)]
    async with connection(database_url, "test") as conn:
        found = await admin.current_positions(conn, settings.group, asked)
    assert found == {asked[0]: (10, None), asked[1]: (0, "breaker")}


async def test_a_cancelled_plan_is_released_in_pages(
    stack: StackAddresses, database_url: str, topic_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many logs the group has, and however many items of the plan are claimed."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    planned = [one.format(plan=PLAN, last=MANY) for one in PLANNED]
    await execute(database_url, *planned, *forged(settings, settings.topics.raw))
    pages = []

    async def let_go(conn: Connection, replay_id: str, provenances: Sequence[Provenance]) -> int:
        pages.append(len(provenances))
        return await release(conn, replay_id, provenances)

    monkeypatch.setattr(cancel, "let_go", let_go)
    async with loop_kept_free(0.1):
        summary, code = await perform(cancel_job(settings, PLAN, "enough", 5), settings, RunOptions(PLAN))
    assert (code, summary.outcomes) == (0, {"open": MANY})
    assert max(pages) <= 1000


async def test_outcomes_of_very_many_kinds_are_counted(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of the most frequent kinds by site and reason, and all by outcome."""
    monkeypatch.setattr(plans, "_MOST_COUNTED", 2)
    await execute(
        database_url,
        *(one.format(plan=PLAN, last=100) for one in PLANNED),
        "UPDATE replay_item SET skipped = CASE WHEN raw_offset < 10 THEN 'often' ELSE raw_offset::text || repeat('x', 2000) END",
        "UPDATE bridge_event_raw SET disposition = 'open', replay_id = NULL",
    )
    async with connection(database_url, "test") as conn:
        found = await outcomes(conn, PLAN)
    assert sum(one.items for one in found) == 100
    assert {one.why: one.items for one in found if one.why in ("often", "other")} == {"often": 9, "other": 90}
    assert max(len(one.why or "") for one in found) == 1000
    await execute(
        database_url,
        "UPDATE replay_item SET skipped = NULL",
        f"UPDATE bridge_event_raw SET disposition = 'replayed', replay_id = '{PLAN}', replayed_as = 'u:0:' || raw_offset",
        OPEN,
    )
    async with connection(database_url, "test") as conn:
        first = await plans.canary_outcomes(conn, PLAN, 100)
    assert len(first) <= 3
    assert sum(one.items for one in first) == 100


async def test_what_is_shown_of_very_many_offsets_is_limited(
    stack: StackAddresses, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The logs in the settings come first, and the current ones of these before others."""
    settings = Settings(database_url=SecretStr(database_url), kafka_bootstrap_servers=stack.kafka)
    for module in (admin, top):
        monkeypatch.setattr(module, "MOST_LOGS", 3)
    monkeypatch.setattr(snapshot, "MOST_PARTITIONS", 3)
    raw = settings.topics.raw
    places = [("a.junk", 0), (raw, 0), (f"{raw}#2", 0), (f"{raw}#x", 0), (raw, 1), ("junk", 0), (raw, 7)]
    await execute(
        database_url,
        "ALTER TABLE stream_offset DROP CONSTRAINT stream_offset_logs",
        *(
            OFFSETS.format(group=settings.group, topic=f"'{topic}'", partition=partition, last=2)
            for topic, partition in places
        ),
    )
    shown = await stored_offsets(settings, ask_kafka=False)
    assert [(one.incarnation, one.partition) for one in shown] == [(2, 0), (1, 1), (1, 7)]
    counts = (await read_activity(database_url, settings.group, [raw])).counts
    assert {(one.in_kafka.topic, one.partition) for one in counts} == {(raw, 0)}


async def test_an_audit_of_very_many_partitions_says_that_it_is_incomplete(
    stack: StackAddresses, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has compared those of the topics in the settings, and does not balance."""
    settings = Settings(database_url=SecretStr(database_url), kafka_bootstrap_servers=stack.kafka)
    monkeypatch.setattr(snapshot, "MOST_PARTITIONS", 100)
    monkeypatch.setattr(snapshot, "_MOST_REASONS", 10)
    raw = settings.topics.raw
    await execute(
        database_url,
        *(OFFSETS.format(group="g", topic=one, partition="0", last=200) for one in ("'a' || n", f"'{raw}#' || n")),
        OFFSETS.format(group=settings.group, topic=f"'{raw}'", partition="n", last=50),
        FAILED.format(first=1, last=1).replace("'t', 0", f"'{raw}', 2"),
        FAILED.format(first=1, last=200).replace("'t', 0", "'a' || n, 0"),
        WAITING.format(last=200),
        WAITING.format(last=2).replace("'t', 2 - n", f"'{raw}', n"),
        OPEN,
    )
    found = await read_snapshot(settings, deep=True)
    assert list(found.incomplete) == ["stream_offset", "gate_window", "bridge_event_raw"]
    assert {one.partition for one in found.offsets if one.topic == raw} >= {2}
    assert {(raw, 2)} <= {tuple(one) for one in found.windows}
    assert {(raw, 1), (raw, 2)} <= {tuple(one) for one in found.ledgers or {}}
    assert len(found.reasons or {}) == 10
    assert (found.reasons or {})["schema_violation"] == 1
    problems = judge_audit(found, {}, settings.topics).problems
    assert len([one for one in problems if "too many partitions" in one]) == 3
