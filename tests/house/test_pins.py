"""Images and workflow actions: one table has their versions, and every file agrees with it."""

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML
from support.infrastructure import servers

from bridge.dev.stack.jars import KAFKA_VERSION
from deploy.findings import read_accepted
from deploy.pins import places, table

CHECKOUT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((CHECKOUT / ".github" / "workflows").glob("*.yml"))
DEPENDENCIES = CHECKOUT / ".github" / "workflows" / "dependencies.yml"


def load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = YAML(typ="safe", pure=True).load(path)
    return loaded


@pytest.mark.parametrize("path", places.files(), ids=lambda path: path.name)
def test_each_file_names_what_the_table_names(path: Path) -> None:
    """Every image and action of the file has the table's version and pin."""
    text = path.read_text()
    known = {one.reference.split(" ")[0] for one in table.read()}

    assert places.references(text)
    assert set(places.references(text)) <= known
    assert places.expected(text, table.read()) == text


def test_each_entry_is_used_at_an_exact_version() -> None:
    """Versions have three parts, unless upstream uses two; the table has no unused entry."""
    used = {one for path in places.files() for one in places.references(path.read_text())}
    for one in table.read():
        assert one.reference.split(" ")[0] in used, one.key
        parts = 2 if one.key == "postgres" else 3
        assert re.match(rf"v?\d+(\.\d+){{{parts - 1}}}(-|$)", one.version), one.version
        assert one.version.removeprefix("v").startswith(f"{one.line}."), one.line


def test_the_tests_and_the_embedded_stack_run_the_same_versions() -> None:
    """All kinds of `--stack` run the deployed versions."""
    assert table.image("kafka").split("@")[0] == f"apache/kafka:{KAFKA_VERSION}"
    assert table.image("kafka") == servers.KAFKA_IMAGE
    assert table.image("postgres") == servers.POSTGRES_IMAGE


def test_no_other_image_is_named_anywhere() -> None:
    """A build directive would use an image that isn't in the table; tests take their images from the table."""
    assert not re.search(r"^#\s*syntax\s*=", (CHECKOUT / "Dockerfile").read_text(), re.MULTILINE)
    named = re.compile(rf"['\"](?:{'|'.join(re.escape(one.name) for one in table.read() if one.kind == 'images')}):\w")
    for path in [*CHECKOUT.glob("tests/**/*.py"), *CHECKOUT.glob("bench/**/*.py")]:
        if "deploy" not in path.parts:
            assert not named.search(path.read_text()), path


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_keeps_the_schema_and_may_only_read(path: Path) -> None:
    """The workflow is valid by check-jsonschema's schema."""
    found = importlib.util.find_spec("check_jsonschema")
    assert found is not None
    assert found.origin is not None
    schema = Path(found.origin).parent / "builtin_schemas" / "vendor" / "github-workflows.json"
    workflow = load(path)
    jsonschema.validate(workflow, json.loads(schema.read_text()))
    assert workflow["permissions"] == {"contents": "read"}


def test_the_scheduled_workflow_checks_pins_and_every_lock_file() -> None:
    """The workflow has a schedule, its programs exist, and the accepted findings are readable."""
    workflow = load(DEPENDENCIES)
    assert workflow["on"]["schedule"]
    steps = "\n".join(step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"])
    for part in (
        "-m deploy.pins --check",
        "for lock in requirements*.lock",
        "-m deploy.findings",
        "requirements-audit.lock",
    ):
        assert part in steps, part
    audited = (CHECKOUT / "requirements-audit.lock").read_text()
    assert re.search(r"^pip-audit==\S+ \\\n    --hash=sha256:", audited, re.MULTILINE)
    assert isinstance(read_accepted(), list)
