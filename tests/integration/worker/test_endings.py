"""Every run leaves a summary, and the alert webhook also receives runs that could not begin."""

import asyncio
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support.events.settled import environment_of, event, prepare, produce, settings_for
from support.processes.command import bridge
from support.processes.hook import listening

from bridge.jobs import frame
from bridge.jobs.frame import Job, RunOptions, perform
from bridge.jobs.run import Run
from schemas.config.settings import Settings
from schemas.documents.run_summary import ProcessSummary, RunSummary
from sinks.postgres.runs.history import run_lock
from sinks.postgres.schema.migrate import migrate

AWAY = "postgresql://nobody:nothing@127.0.0.1:1/none"


async def process(directory: Path, *words: str, **settings: str) -> tuple[int, dict[str, Any], list[Any], str]:
    """Run `bridge process`; return its exit code, its summary, the webhook's calls and what it printed."""
    path = directory / "s.json"
    async with listening(lambda _: 200) as (url, calls):
        given = {"BRIDGE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1", "BRIDGE_START_TIMEOUT": "1s"} | settings
        given["BRIDGE_WORKER_ALERT_WEBHOOK"] = url
        done = await asyncio.to_thread(bridge, "process", "--json-output", str(path), *words, settings=given)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    document = json.loads(path.read_text())
    jsonschema.validate(document, ProcessSummary.model_json_schema())
    return done.returncode, document, [json.loads(body) for _, body in calls], done.stdout.decode()


@pytest.mark.parametrize(
    ("words", "settings", "told"),
    [
        ((), {"BRIDGE_DATABASE_URL": ""}, "BRIDGE_DATABASE_URL"),
        ((), {"BRIDGE_DATABASE_URL": AWAY}, "Postgres"),
        ((), {"BRIDGE_DATABASE_URL": "sqlite:///x"}, "BRIDGE_DATABASE_URL: must begin with"),
        ((), {"BRIDGE_DATABASE_URL": AWAY, "BRIDGE_MAX_RETRIES": "many"}, "BRIDGE_MAX_RETRIES"),
        (("--limit", "abc"), {"BRIDGE_DATABASE_URL": AWAY}, "--limit"),
        (("--org-ids", "x"), {"BRIDGE_DATABASE_URL": AWAY}, "--org-ids"),
        (("--nothing-such",), {"BRIDGE_DATABASE_URL": AWAY}, "--nothing-such"),
    ],
    ids=("no database", "database away", "malformed URL", "malformed number", "limit", "org ids", "unknown option"),
)
async def test_a_run_that_can_not_begin_leaves_a_summary_and_is_told(
    tmp_path: Path, words: tuple[str, ...], settings: dict[str, str], told: str
) -> None:
    """A run that cannot begin exits with 3, passes no verdict and notifies the webhook."""
    code, summary, calls, shown = await process(tmp_path, *words, **settings)

    assert code == 3
    assert told in summary["errors"][0]["reason"]
    assert summary["gate"] is None
    assert "gate: pass" not in shown
    assert [(one["type"], one["data"]["exit_code"]) for one in calls] == [("bridge.run.unfit", 3)]
    assert told in calls[0]["data"]["reason"]


async def test_a_dry_run_that_can_not_begin_tells_nobody(tmp_path: Path) -> None:
    """A dry run leaves its summary only."""
    code, summary, calls, _ = await process(tmp_path, "--dry-run", "--limit", "abc")

    assert (code, summary["dry_run"], calls) == (3, True, [])


async def test_a_second_run_is_no_failure_to_tell(stack, database_url, topic_prefix, tmp_path: Path) -> None:
    """A run that finds another one at work exits with 3 and notifies no webhook; a run without work passes the gate."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    await produce(settings, [event(1)])
    own = environment_of(settings)
    async with run_lock(database_url, "script:process:all", "script:process:all:2026-01-01-10"):
        code, summary, calls, shown = await process(tmp_path, **own)
        assert (code, summary["gate"], calls) == (3, None, [])
        assert "gate: not judged" in shown
    for _ in range(2):
        code, summary, calls, shown = await process(tmp_path, **own)
        assert (code, summary["gate"], calls) == (0, {"passed": True, "reasons": []}, [])
        assert "gate: pass" in shown


async def test_a_defect_leaves_a_summary_too(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A defect is recorded in the summary, sent to the webhook, and raised."""

    async def fit(*_: object, **__: object) -> None:
        return

    async def work(_run: Run[RunSummary]) -> None:
        raise RuntimeError("a step that nobody thought of")

    monkeypatch.setattr(frame, "ready", fit)
    path = tmp_path / "s.json"
    async with listening(lambda _: 200) as (url, calls):
        settings = Settings(database_url=database_url, worker_alert_webhook=url)

        await migrate(settings.dsn)
        with pytest.raises(RuntimeError, match="nobody thought of"):
            await perform(Job("process", RunSummary, work), settings, RunOptions(json_output=str(path)))

    assert "RuntimeError: a step that nobody thought of" in json.loads(path.read_text())["errors"][0]["reason"]
    assert [json.loads(body)["type"] for _, body in calls] == ["bridge.run.failed"]


def test_each_command_that_runs_a_job_is_known(tmp_path: Path) -> None:
    """Each known job is a command with `--json-output`, so that refused settings leave a summary too."""
    from bridge.cli.unfit import COMMANDS

    for name in sorted(COMMANDS):
        words = name.split("-", 1) if name != "process" else [name]
        helped = bridge(*words, "--help", settings={})
        assert (helped.returncode, b"--json-output" in helped.stdout) == (0, True), name
