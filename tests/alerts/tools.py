"""Debian's Prometheus tools, and the rules as they are deployed."""

import subprocess
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from deploy.rules import RULES


def load(path: Path) -> Any:
    """A YAML file's content."""
    return YAML(typ="safe", pure=True).load(path)


ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in load(RULES)["groups"] for rule in group["rules"] if "alert" in rule
}


def ran(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """A tool's run to its end; one that is missing fails the test: `.ci/packages alerts` brings them."""
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=120)
