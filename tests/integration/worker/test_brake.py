"""The circuit breaker on real servers: it stops a storm of dead letters and shows the reason.

A passing probe or an operator closes it.
"""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from typing import Any

import asyncpg
import pytest
from support.events.settled import event, prepare, produce, settings_for, working
from support.processes.command import bridge
from support.wait import wait_until

from schemas.config.settings import Settings
from sinks.kafka.admin import log_bounds
from streams.audit import audit

STORM = 3000
LIMIT = 1000
# A deployment with an age limit that every event exceeds.
BAD_DEPLOY = {"occurred_at_max_age": "1h"}
HOUR_MS = 3_600_000


def old_event(number: int) -> bytes:
    return event(number, occurred_at=time.time_ns() // 1_000_000 - 2 * HOUR_MS)


def settings_of(stack: Any, database_url: str, topic_prefix: str, **changed: Any) -> Settings:
    return settings_for(
        stack.kafka, database_url, topic_prefix, batch_max_records=200, brake_probe_interval="1s", **changed
    )


def environment_of(settings: Settings) -> dict[str, str]:
    return {
        "BRIDGE_KAFKA_BOOTSTRAP_SERVERS": settings.brokers,
        "BRIDGE_DATABASE_URL": settings.dsn,
        "BRIDGE_TOPIC_PREFIX": settings.topic_prefix,
        "BRIDGE_TOPIC_PARTITIONS": str(settings.topic_partitions),
        "BRIDGE_GROUP": settings.group,
        "BRIDGE_RETRY_DELAYS": ",".join(settings.retry_delays),
        "BRIDGE_OCCURRED_AT_MAX_AGE": settings.occurred_at_max_age,
    }


async def command(settings: Settings, *words: str) -> tuple[int, str]:
    done = await asyncio.to_thread(bridge, *words, settings=environment_of(settings))
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stdout.decode()


async def ask(settings: Settings, query: str) -> Any:
    conn = await asyncpg.connect(settings.dsn)
    try:
        return await conn.fetchval(query)
    finally:
        await conn.close()


async def engaged(settings: Settings) -> bool:
    return bool(await ask(settings, "SELECT engaged FROM brake"))


async def probed(settings: Settings) -> Any:
    return await ask(settings, "SELECT probed_at FROM brake")


async def dead_letters(settings: Settings) -> int:
    """Count the open dead letters in the ledger and check that the DLQ holds the same number."""
    dropped = int(await ask(settings, "SELECT count(*) FROM bridge_event_raw WHERE disposition = 'open'"))
    bounds = await log_bounds(settings, [settings.topics.dlq])
    assert sum(one.end - one.start for one in bounds.values()) == dropped
    return dropped


async def all_read(settings: Settings, count: int) -> bool:
    return int(await ask(settings, "SELECT coalesce(sum(live), 0) FROM stream_offset")) == count


async def test_a_bad_deployment_is_braked_until_a_better_one_comes(stack, database_url, topic_prefix) -> None:
    """A bad deployment dead-letters few events, and none after a restart.

    A fixed deployment closes the breaker.
    """
    settings = settings_of(stack, database_url, topic_prefix)
    bad = settings_of(stack, database_url, topic_prefix, **BAD_DEPLOY)
    await prepare(settings)
    await produce(settings, [old_event(number) for number in range(STORM)])
    async with working(bad):
        await wait_until(lambda: engaged(settings), budget_seconds=60, describe="the brake on")
    lost = await dead_letters(settings)
    assert 0 < lost < LIMIT
    report = await audit(settings)
    assert (report.balanced, report.totals.unread) == (True, STORM - lost)

    async with working(bad):
        await wait_until(lambda: probed(settings), budget_seconds=60, describe="a probe by the same deployment")
    assert (await engaged(settings), await dead_letters(settings)) == (True, lost)

    async with working(settings):
        await wait_until(lambda: all_read(settings, STORM), budget_seconds=60, describe="everything settled")
    assert (await engaged(settings), await dead_letters(settings)) == (False, lost)
    for script, reason in (("brake-engage", " would be dead-lettered"), ("brake-release", "a probe passed")):
        _, shown = await command(settings, "runs", "list", "--script", script, "--json-output", "-")
        (run,) = json.loads(shown)
        assert (run["exit_code"], run["summary"]["reason"].endswith(reason)) == (0, True), run
        assert run["started_by"].rpartition(":")[2].isdigit(), "by a worker, not by an operator"
    report = await audit(settings)
    assert report.balanced, report.problems
    assert (report.totals.persisted, report.totals.dropped, report.totals.unread) == (STORM - lost, lost, 0)


async def test_two_workers_agree_and_an_operator_releases_it(stack, database_url, topic_prefix) -> None:
    """Two workers share one breaker: both pause, and both resume once an operator releases it.

    The status shows the reason, and the run history records the release.
    """
    settings = settings_of(stack, database_url, topic_prefix, **BAD_DEPLOY)
    await prepare(settings)
    async with AsyncExitStack() as running:
        workers = [await running.enter_async_context(working(settings)) for _ in range(2)]

        def each(held: bool) -> bool:
            raw = [[lane for lane in one._lanes.lanes if lane.name != "retry"] for one in workers]
            return all(lanes and (not held or all(lane._brake.positions for lane in lanes)) for lanes in raw)

        await wait_until(lambda: each(held=False), budget_seconds=60, describe="a partition for each")
        await produce(settings, [old_event(number) for number in range(STORM)])
        await wait_until(lambda: engaged(settings), budget_seconds=60, describe="the brake on")
        await wait_until(lambda: each(held=True), budget_seconds=60, describe="both to hold theirs")
        await wait_until(lambda: probed(settings), budget_seconds=60, describe="a probe")
        lost = await dead_letters(settings)
        assert lost < 2 * LIMIT

        code, shown = await command(settings, "breaker", "status", "--json-output", "-")
        status = json.loads(shown)
        assert (code, status["engaged"], status["waiting_total"]) == (1, True, STORM - lost)
        assert status["details"]["error_class"] == "schema_violation"
        assert status["details"]["sites_total"] == 3
        assert status["details"]["error"].endswith(" is more than 1h before it was received")
        assert status["next_probe_at"] > status["since"]
        code, shown = await command(settings, "breaker", "status")
        assert code == 1
        assert f"schema_violation: {status['details']['error']}" in shown
        errors = status["details"]["errors"]
        assert {one["site"] for one in errors} == {1, 2, 3}
        assert all(one["error"].endswith(" is more than 1h before it was received") for one in errors)
        assert "error of the first paused event" in shown

        code, shown = await command(settings, "breaker", "release", "--for", "5m", "--reason", "they really are old")
        assert (code, shown.startswith("released until ")) == (0, True)
        await wait_until(lambda: all_read(settings, STORM), budget_seconds=60, describe="everything settled")
    assert await dead_letters(settings) == STORM
    report = await audit(settings)
    assert report.balanced, report.problems
    code, shown = await command(settings, "breaker", "status")
    assert (code, "they really are old" in shown) == (0, True)
    kept = await ask(settings, "SELECT summary->>'reason' FROM script_run WHERE script = 'brake-release'")
    assert kept == "they really are old"


async def test_one_sites_garbage_leaves_the_others_alone(stack, database_url, topic_prefix) -> None:
    """Invalid events of one site are dead-lettered and don't delay other sites' events.

    They are 14 of every 15 events.
    """
    settings = settings_of(stack, database_url, topic_prefix)
    await prepare(settings)
    mixed = [
        event(number) if number % 30 < 2 else event(2, event_id=f"b-{number}", event_type="") for number in range(STORM)
    ]
    async with working(settings):
        await produce(settings, mixed)
        await wait_until(lambda: all_read(settings, STORM), budget_seconds=60, describe="everything settled")
    assert not await engaged(settings)
    assert await dead_letters(settings) == STORM * 28 // 30
    report = await audit(settings)
    assert (report.balanced, report.totals.persisted) == (True, STORM * 2 // 30)


async def test_a_run_without_a_worker_brakes_too(stack, database_url, topic_prefix, tmp_path) -> None:
    """`bridge process` dead-letters no more than a worker, reports the open breaker, and waits for the release."""
    settings = settings_of(stack, database_url, topic_prefix, **BAD_DEPLOY)
    await prepare(settings)
    await produce(settings, [old_event(number) for number in range(STORM)])
    path = tmp_path / "s.json"
    words = ("process", "--limit", "500", "--rounds", "20", "--max-dropped-total", "9999", "--json-output", str(path))
    for _ in range(2):
        code, _ = await command(settings, *words)
        summary = json.loads(path.read_text())
        assert code in (1, 2), summary
        assert "the circuit breaker is open: " in summary["errors"][0]["reason"]
        assert await engaged(settings)
        assert await dead_letters(settings) < LIMIT
    assert (code, summary["dropped_total"]) == (1, 0)
    report = await audit(settings)
    assert report.balanced, report.problems

    assert (await command(settings, "breaker", "release", "--reason", "they really are old"))[0] == 0
    code, _ = await command(settings, *words)
    assert code == 0, path.read_text()
    assert await dead_letters(settings) == STORM
    assert (await audit(settings)).balanced


async def test_what_is_held_by_hand_waits_and_the_rest_goes_on(stack, database_url, topic_prefix) -> None:
    """Under an engaged breaker a partition stops before its first failing event, and the other is read to its end."""
    settings = settings_of(stack, database_url, topic_prefix)
    await prepare(settings)
    assert (await command(settings, "breaker", "engage", "--reason", "to be safe"))[0] == 0
    values = [event(number) for number in range(40)]
    values[20] = b"{"
    async with working(settings):
        await produce(settings, values)
        persisted = "SELECT count(*) = 30 FROM bridge_event"
        await wait_until(lambda: ask(settings, persisted), budget_seconds=60, describe="all that is not behind it")
        await wait_until(lambda: probed(settings), budget_seconds=60, describe="a probe")
        assert (await engaged(settings), await dead_letters(settings)) == (True, 0)
        stored = await ask(settings, "SELECT next_offset FROM stream_offset WHERE topic LIKE '%raw' AND partition = 0")
        assert stored == 10
        code, shown = await command(settings, "offsets", "show", "--json-output", "-")
        held = {one["partition"]: one["held"] for one in json.loads(shown) if one["topic"] == settings.topics.raw}
        assert held[0] == "the circuit breaker is open: to be safe; see `bridge breaker status`"
        assert not any(why for partition, why in held.items() if partition)
        code, shown = await command(settings, "doctor")
        (line,) = (line for line in shown.splitlines() if line.startswith("fail  stream    brake "))
        assert (code, "by " in line, line.endswith("more workers don't help")) == (1, True, True), line
        assert (await command(settings, "breaker", "release", "--reason", "seen", "--for", "0s"))[0] == 0
        await wait_until(lambda: all_read(settings, 40), budget_seconds=60, describe="everything settled")
    assert await dead_letters(settings) == 1
    assert (await audit(settings)).balanced


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["release"], "Missing option '--reason'"),
        (["release", "--reason", " "], "--reason: give a reason of 1 to 500 characters"),
        (["release", "--reason", "x", "--for", "soon"], "--for: 'soon' is not a duration"),
        (["release", "--reason", "x", "--for", "25h"], "--for: the limit is 24h"),
    ],
)
def test_bad_arguments(words: list[str], says: str) -> None:
    """A bad argument exits with code 3 and one line that names the mistake."""
    done = bridge("brake", *words, settings={})
    assert (done.returncode, says in done.stderr.decode()) == (3, True), done.stderr
