"""Debian's Prometheus tools, and the deployed rules."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from deploy.rules import RULES


def load(path: Path) -> Any:
    """Load a YAML file."""
    return YAML(typ="safe", pure=True).load(path)


FOREIGN_METRICS = re.compile(r"up|process_\w+|node_\w+")
"""Metrics of Prometheus and of the node exporter."""
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule for group in load(RULES)["groups"] for rule in group["rules"] if "alert" in rule
}


def program(name: str) -> str:
    """Find a program's path; without the program the test fails, it is not skipped."""
    found = shutil.which(name)
    assert found, f"{name} is missing: install it as Debian's package does, by `.ci/packages alerts`"
    return found


def ran(name: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a tool to its end."""
    return subprocess.run([program(name), *arguments], cwd=cwd, capture_output=True, text=True, timeout=120)
