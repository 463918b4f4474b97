"""The scheduled workflow: valid by its schema, with stable names and defaults, and with steps that run."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML
from support.events.settled import event, prepare, produce, settings_for

from schemas.documents.run_summary import ProcessSummary

CHECKOUT = Path(__file__).resolve().parents[2]
WORKFLOW = CHECKOUT / ".github" / "workflows" / "bridge-raw-worker.yml"
NATIVE_LIBRARY = CHECKOUT / "native" / "target" / "release" / "libghostlink_native.so"
EXPRESSION = re.compile(r"\$\{\{\s*(.+?)\s*\}\}")


@pytest.fixture(scope="module")
def workflow() -> dict[str, Any]:
    """The workflow in YAML 1.2, as YAML 1.1 reads `on` as true."""
    loaded: dict[str, Any] = YAML(typ="safe", pure=True).load(WORKFLOW)
    return loaded


def evaluated(text: str, known: dict[str, str]) -> str:
    """Evaluate GitHub's expressions as far as this workflow uses them: names, texts, and the first non-empty one."""

    def value(found: re.Match[str]) -> str:
        for part in (part.strip() for part in found[1].split("||")):
            said = part[1:-1] if part.startswith("'") else known.get(part, "")
            if said:
                return said
        return ""

    return EXPRESSION.sub(value, text)


def test_it_keeps_the_schema(workflow: dict[str, Any]) -> None:
    """The schema is the one that check-jsonschema ships."""
    found = importlib.util.find_spec("check_jsonschema")
    assert found is not None
    assert found.origin is not None
    schema = Path(found.origin).parent / "builtin_schemas" / "vendor" / "github-workflows.json"
    jsonschema.validate(workflow, json.loads(schema.read_text()))


def test_names_and_defaults(workflow: dict[str, Any]) -> None:
    """Schedule, inputs, secrets, variables and the artifact."""
    assert workflow["on"]["schedule"] == [{"cron": "*/30 * * * *"}]
    inputs = workflow["on"]["workflow_dispatch"]["inputs"]
    assert set(inputs) == {"site_id", "limit", "rounds", "max_dropped_total", "max_retry_ratio_pct"}
    environment = {name: evaluated(text, {}) for name, text in workflow["jobs"]["process"]["env"].items()}
    assert {name: value for name, value in environment.items() if value} == {
        "BRIDGE_ENV": "production",
        "BRIDGE_WORKER_DEFAULT_LIMIT": "250",
        "BRIDGE_WORKER_DEFAULT_ROUNDS": "1",
        "BRIDGE_WORKER_MAX_DROPPED_TOTAL": "50",
        "BRIDGE_WORKER_MAX_RETRY_RATIO_PCT": "20",
    }
    assert {"GHOSTLINK_DATABASE_URL", "GHOSTLINK_SECRET_KEY", "BRIDGE_WORKER_ALERT_WEBHOOK"} < set(environment)
    keeping = workflow["jobs"]["process"]["steps"][-1]
    assert keeping["if"] == "always()"
    assert keeping["with"]["path"] == "bridge-worker-summary.json"


# These install from a package index.
@pytest.mark.timeout(900)
async def test_its_steps_run(workflow, stack, database_url, topic_prefix, tmp_path) -> None:
    """The steps run in a copy of the checkout; a failed gate fails the job, and the summary is written."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    await produce(settings, [event(number) for number in range(20)] + [b"{"] * 3)
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, listed):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(CHECKOUT / name, tmp_path / name)
    known = {
        "secrets.GHOSTLINK_DATABASE_URL": database_url,
        "secrets.GHOSTLINK_SECRET_KEY": "s" * 32,
        "vars.BRIDGE_ENV": "development",
        "vars.BRIDGE_KAFKA_BOOTSTRAP_SERVERS": stack.kafka,
        "inputs.max_dropped_total": "2",
    }
    job = workflow["jobs"]["process"]
    environment = {name: evaluated(text, known) for name, text in job["env"].items()}
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    # Values that a site sets beside the workflow's own variables.
    own = {"BRIDGE_TOPIC_PREFIX": topic_prefix, "BRIDGE_TOPIC_PARTITIONS": "2", "BRIDGE_GROUP": settings.group}
    # The installed packages run once, and the checkout's own native module is the one that the copy would compile.
    own["PIP_NO_COMPILE"] = "1"
    if NATIVE_LIBRARY.exists():
        own["NATIVE_LIBRARY"] = str(NATIVE_LIBRARY)
    codes = [
        subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=tmp_path,
            env=outside | own | environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=900,
            check=False,
        )
        for step in job["steps"]
        if "run" in step
    ]
    assert [one.returncode for one in codes] == [0, 0, 1, 0], [one.stderr.decode()[-2000:] for one in codes]
    summary = json.loads((tmp_path / "bridge-worker-summary.json").read_text())
    jsonschema.validate(summary, ProcessSummary.model_json_schema())
    assert (summary["normalized_total"], summary["dropped_total"], summary["gate"]["passed"]) == (20, 3, False)
