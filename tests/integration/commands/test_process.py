"""`bridge process`: one run over pending records, its verdict, its lock, and its summary in every ending."""

import asyncio
import json
import os
import signal
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import asyncpg
import jsonschema
import pytest
from support.events.settled import environment_of, event, prepare, produce, settings_for, working
from support.infrastructure.databases import LOCK_AWAITED
from support.processes.command import bridge, start
from support.wait import wait_until

from schemas.config.settings import Settings
from schemas.documents.run_summary import ProcessSummary
from sinks.postgres.registry.admin import add_script
from sinks.postgres.runs.history import run_lock
from streams.audit import audit

COUNTS = ("processed_total", "normalized_total", "retried_total", "dropped_total", "dropped_by_reason", "gate")


def checked(path: Path) -> dict[str, Any]:
    """The summary in a file, valid by its schema."""
    document: dict[str, Any] = json.loads(path.read_text())
    jsonschema.validate(document, ProcessSummary.model_json_schema())
    return document


async def process(settings: Settings, path: Path, *arguments: str, **more: str) -> tuple[int, dict[str, Any], str]:
    words = ("process", "--json-output", str(path), *arguments)
    done = await asyncio.to_thread(bridge, *words, settings=environment_of(settings, **more))
    assert b"Traceback" not in done.stderr
    return done.returncode, checked(path), done.stdout.decode()


def mix(unknown: int = 4, broken: int = 3) -> list[bytes]:
    """A hundred valid events, ten duplicates, some of an unknown script, and some that are not JSON."""
    good = [event(number) for number in range(100)]
    strangers = [event(1000 + number, script_id="stranger", site_id=77) for number in range(unknown)]
    return [*good, *good[::10], *strangers, *([b"{"] * broken)]


async def fresh(stack: Any, database_url: str, topic_prefix: str, events: Iterable[bytes], **changed: Any) -> Settings:
    settings = settings_for(stack.kafka, database_url, topic_prefix, **changed)
    await prepare(settings)
    await produce(settings, list(events))
    return settings


async def test_a_dry_run_tells_what_the_real_one_does(stack, database_url, topic_prefix, tmp_path) -> None:
    """Counts, reasons and verdict are equal, although rounds cut the batches; the dry run writes nothing."""
    # The long delay keeps retries from becoming due during the test.
    settings = await fresh(stack, database_url, topic_prefix, mix(), retry_delays=("10m",), retry_delay_cap="10m")
    asked = ("--limit", "30", "--rounds", "10")
    code, would, _ = await process(settings, tmp_path / "dry.json", "--dry-run", *asked)
    conn = await asyncpg.connect(database_url)
    for table in ("bridge_event", "bridge_event_raw", "bridge_event_key", "gate_window", "script_run"):
        assert await conn.fetchval(f"SELECT count(*) FROM {table}") == 0
    real_code, did, _ = await process(settings, tmp_path / "real.json", *asked)
    assert (code, {name: would[name] for name in COUNTS}) == (real_code, {name: did[name] for name in COUNTS})
    assert did["processed_total"] == 117
    assert did["dropped_by_reason"] == {"duplicate_event_id": 10, "invalid_payload_json": 3}
    assert (await audit(settings)).balanced
    assert await conn.fetchval("SELECT exit_code FROM script_run WHERE run_id = $1", did["run_id"]) == 0
    await conn.close()


async def test_a_summary_that_cannot_be_written_costs_neither_the_work_nor_its_place_in_the_history(
    stack, database_url, topic_prefix, tmp_path
) -> None:
    settings = await fresh(stack, database_url, topic_prefix, mix())
    path = tmp_path / "missing" / "s.json"
    done = await asyncio.to_thread(bridge, "process", "--json-output", str(path), settings=environment_of(settings))
    assert done.returncode == 3
    assert f"error: cannot write {path}: No such file or directory".encode() in done.stderr
    conn = await asyncpg.connect(database_url)
    assert await conn.fetchval("SELECT exit_code FROM script_run") == 3
    assert await conn.fetchval("SELECT count(*) FROM bridge_event") == 100
    await conn.close()


async def test_waiting_retries_heal_or_wait_on_and_the_sweep_is_by_site(
    stack, database_url, topic_prefix, tmp_path
) -> None:
    """Due rows are committed straight from the ledger; their copies on the retry topics are stale for a worker."""
    settings = await fresh(stack, database_url, topic_prefix, mix(), retry_delays=("200ms", "1s"))
    code, first, _ = await process(settings, tmp_path / "1.json")
    assert (code, first["retried_total"]) == (0, 4)
    await add_script(database_url, "stranger", 77, org_id=5)
    await asyncio.sleep(0.3)  # the retry delay has to pass
    _, other, _ = await process(settings, tmp_path / "2.json", "--site-id", "3")
    assert other["processed_total"] == 0
    _, healed, _ = await process(settings, tmp_path / "3.json", "--org-ids", "5,6")
    assert (healed["normalized_total"], healed["targets_total"]) == (4, 1)
    report = await audit(settings)
    assert report.balanced, report.problems
    async with working(settings):
        await wait_until(
            lambda: _retries_read(settings, 4), budget_seconds=30, describe="the copies on the retry topics read"
        )
    report = await audit(settings)
    assert report.balanced, report.problems
    assert report.totals.persisted == 104


async def _retries_read(settings: Settings, count: int) -> bool:
    conn = await asyncpg.connect(settings.dsn)
    try:
        return bool(
            await conn.fetchval(
                "SELECT coalesce(sum(stale), 0) = $1 FROM stream_offset WHERE topic LIKE '%retry%'", count
            )
        )
    finally:
        await conn.close()


async def test_two_workers_and_runs_on_the_same_waiting_retries(stack, database_url, topic_prefix, tmp_path) -> None:
    """Each attempt is committed once, by a worker or by a run."""
    strangers = [event(number, script_id="stranger", site_id=77) for number in range(400)]
    settings = await fresh(stack, database_url, topic_prefix, strangers, retry_delays=("300ms", "600ms"), max_retries=2)
    async with working(settings):
        for number in range(4):
            code, summary, _ = await process(
                settings, tmp_path / f"{number}.json", "--limit", "1000", "--max-retry-ratio-pct", "100",
                "--max-dropped-total", "1000",
            )  # fmt: skip
            assert code == 0, summary
        await wait_until(lambda: _finished(settings, 400), budget_seconds=40, describe="all retries used up")
    report = await audit(settings)
    assert report.balanced, report.problems
    assert report.totals.dropped == 400


async def _finished(settings: Settings, count: int) -> bool:
    conn = await asyncpg.connect(settings.dsn)
    try:
        return bool(await conn.fetchval("SELECT count(*) = $1 FROM bridge_event_raw WHERE normalized", count))
    finally:
        await conn.close()


@pytest.mark.parametrize(("broken", "code"), [(50, 0), (51, 1)])
async def test_the_gate_decides_the_exit_code(
    stack, database_url, topic_prefix, tmp_path, broken: int, code: int
) -> None:
    """50 drops pass, 51 fail, and the summary is written either way."""
    settings = await fresh(stack, database_url, topic_prefix, [b"{"] * broken + [event(1)])
    found, summary, shown = await process(settings, tmp_path / "s.json")
    assert (found, summary["gate"]["passed"]) == (code, code == 0)
    assert ("gate: FAIL" in shown) == (code == 1)


async def test_only_one_run_at_a_time(stack, database_url, topic_prefix, tmp_path) -> None:
    """A second run exits with 3 and names the held lock, also in another hour; another scope runs."""
    settings = await fresh(stack, database_url, topic_prefix, [event(1)])
    async with run_lock(database_url, "script:process:all", "script:process:all:2026-01-01-10"):
        code, summary, _ = await process(settings, tmp_path / "s.json")
        assert code == 3
        assert "another run holds script:process:all:" in summary["errors"][0]["reason"]
        code, _, _ = await process(settings, tmp_path / "t.json", "--site-id", "3")
        assert code == 0
    code, summary, _ = await process(settings, tmp_path / "s.json")
    assert (code, summary["normalized_total"]) == (0, 1)


async def test_cut_off_by_a_time_out(stack, database_url, topic_prefix, tmp_path) -> None:
    """Committed batches stay, the summary has the reason, and the exit code is 1."""
    settings = await fresh(stack, database_url, topic_prefix, mix())
    code, summary, _ = await process(settings, tmp_path / "s.json", "--timeout-sec", "0.001")
    assert code == 1
    assert "stopped after --timeout-sec 0.001" in summary["errors"][0]["reason"]
    assert (await audit(settings)).balanced


async def test_told_to_stop(stack, database_url, topic_prefix, tmp_path) -> None:
    """SIGTERM during the wait for a lock writes the summary and exits with 1."""
    settings = await fresh(stack, database_url, topic_prefix, mix(), lock_timeout="20s")
    conn = await asyncpg.connect(database_url)
    holding = conn.transaction()
    await holding.start()
    await conn.execute("LOCK TABLE stream_offset IN ACCESS EXCLUSIVE MODE")
    path = tmp_path / "s.json"
    running = start("process", "--json-output", str(path), settings=environment_of(settings), quiet=True)
    try:
        await wait_until(lambda: conn.fetchval(LOCK_AWAITED), budget_seconds=30, describe="the run waits for the lock")
        os.kill(running.pid, signal.SIGTERM)
        await asyncio.to_thread(running.wait, 20)
    finally:
        running.kill()
        await holding.rollback()
        await conn.close()
    assert running.returncode == 1
    assert "stopped by SIGTERM" in checked(path)["errors"][0]["reason"]


@pytest.mark.parametrize("away", ["BRIDGE_DATABASE_URL", "BRIDGE_KAFKA_BOOTSTRAP_SERVERS"])
async def test_a_service_that_is_away(stack, database_url, topic_prefix, tmp_path, away: str) -> None:
    """A missing service gives one line that names it, a summary, and exit code 3."""
    settings = await fresh(stack, database_url, topic_prefix, [])
    gone = {"BRIDGE_DATABASE_URL": "postgresql://x@127.0.0.1:1/x", "BRIDGE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}[
        away
    ]
    code, summary, _ = await process(settings, tmp_path / "s.json", **{away: gone})
    assert code == 3
    assert "127.0.0.1" in summary["errors"][0]["reason"] or "Postgres" in summary["errors"][0]["reason"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--org-id", "1", "--org-ids", "2"], "give --org-id or --org-ids, not both"),
        (["--org-ids", "a,b"], "'a,b' is not a list of numbers"),
        (["--max-retry-ratio-pct", "twenty"], "WORKER_MAX_RETRY_RATIO_PCT"),
        (["--limit", "0"], "Invalid value for '--limit'"),
    ],
)
def test_bad_arguments(arguments: list[str], says: str) -> None:
    """A bad argument exits with code 3 and one line that names the mistake."""
    done = bridge("process", *arguments, settings={})
    assert (done.returncode, says in done.stderr.decode()) == (3, True), done.stderr
