"""The last step of a scheduled workflow, run by the runner's own Python without the product's packages."""

import asyncio
import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook
from support.processes.hook import Call, listening
from support.processes.programs import CHECKOUT

from schemas.config.derived_keys import webhook_secret
from schemas.documents.run_summary import ProcessSummary

SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
GITHUB = {"GITHUB_SERVER_URL": "https://git.example", "GITHUB_REPOSITORY": "o/r", "GITHUB_RUN_ID": "7"}


async def told(
    path: Path, outcome: str, *, status: int = 200, **environment: str
) -> tuple[subprocess.CompletedProcess[str], list[Call]]:
    """The step's result and the webhook's calls."""
    words = [sys.executable, "-I", "-S", str(CHECKOUT / "scripts" / "tell_of_run.py"), "process", outcome, str(path)]
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("BRIDGE_", "GHOSTLINK_"))}
    async with listening(lambda _: status) as (url, calls):
        given = outside | {"BRIDGE_WORKER_ALERT_WEBHOOK": url} | environment
        done = await asyncio.to_thread(
            subprocess.run, words, env=given, cwd=path.parent, capture_output=True, text=True, timeout=60, check=False
        )
    assert "Traceback" not in done.stderr, done.stderr
    return done, calls


@pytest.mark.parametrize(
    ("outcome", "kind", "code", "reason"),
    [
        ("skipped", "bridge.run.unfit", 3, "never began"),
        ("", "bridge.run.unfit", 3, "never began"),
        ("failure", "bridge.run.failed", 1, "left no summary"),
        ("cancelled", "bridge.run.failed", 1, "took too long"),
    ],
)
async def test_a_run_without_a_summary_is_told_and_leaves_one(
    tmp_path: Path, outcome: str, kind: str, code: int, reason: str
) -> None:
    """The call is signed as the run's own and links to the workflow's run."""
    path = tmp_path / "s.json"
    done, ((headers, body),) = await told(path, outcome, BRIDGE_WORKER_ALERT_WEBHOOK_SECRET=SECRET, **GITHUB)

    assert done.returncode == 0, done.stdout
    call: dict[str, Any] = Webhook(SECRET).verify(body, headers)
    assert (call["type"], call["data"]["exit_code"], call["data"]["script"]) == (kind, code, "process")
    assert reason in call["data"]["reason"]
    assert "https://git.example/o/r/actions/runs/7" in call["data"]["reason"]
    summary = ProcessSummary.model_validate_json(path.read_text())
    assert (summary.run_id, summary.gate) == (call["data"]["run_id"], None)
    assert headers["webhook-id"] == f"run_{summary.run_id}"


async def test_a_run_that_left_its_summary_is_not_told_again(tmp_path: Path) -> None:
    """Such a run has sent its own notification, or needs none because another run was active."""
    path = tmp_path / "s.json"
    path.write_text("{}")
    done, calls = await told(path, "failure", BRIDGE_WORKER_ALERT_WEBHOOK_SECRET=SECRET)
    assert (done.returncode, calls, path.read_text()) == (0, [], "{}")


async def test_a_success_leaves_a_summary_and_tells_nobody(tmp_path: Path) -> None:
    """A step that writes no summary itself gets one and sends no notification."""
    path = tmp_path / "s.json"
    done, calls = await told(path, "success")
    assert (done.returncode, calls, json.loads(path.read_text())["errors"]) == (0, [], [])


async def test_the_secret_key_signs_as_in_the_run(tmp_path: Path) -> None:
    """The derived secret signs, and for old receivers the key itself."""
    _, ((headers, body),) = await told(tmp_path / "s.json", "skipped", GHOSTLINK_SECRET_KEY="k" * 40)
    Webhook(webhook_secret("k" * 40)).verify(body, headers)
    Webhook(base64.b64encode(b"k" * 40).decode()).verify(body, headers)


async def test_a_webhook_that_takes_nothing_fails_the_step(tmp_path: Path) -> None:
    """The step fails after three tries and still leaves the summary."""
    path = tmp_path / "s.json"
    done, calls = await told(path, "skipped", status=503)
    assert (done.returncode, len(calls), path.exists()) == (1, 3, True)
    assert "the webhook was not called: status 503" in done.stdout


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({}, "nothing signs"),
        ({"BRIDGE_WORKER_ALERT_WEBHOOK_SECRET": SECRET}, "not encrypted"),
        (
            {"BRIDGE_WORKER_ALERT_WEBHOOK_SECRET": SECRET, "BRIDGE_PRODUCTION_ALLOW": "plaintext_http"},
            "this machine",
        ),
        ({"BRIDGE_WORKER_ALERT_WEBHOOK": "hook"}, "must be a URL"),
    ],
    ids=("unsigned", "plain", "local", "malformed"),
)
async def test_production_calls_no_webhook_that_the_run_refuses(
    tmp_path: Path, environment: dict[str, str], why: str
) -> None:
    """The step's output gives the reason without the URL."""
    done, calls = await told(tmp_path / "s.json", "skipped", BRIDGE_ENV="production", **environment)
    assert (done.returncode, calls) == (1, [])
    assert why in done.stdout
    assert "127.0.0.1" not in done.stdout
