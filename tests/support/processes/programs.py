"""Runs of the project in another Python process."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import bridge

CHECKOUT = Path(bridge.__file__).resolve().parent.parent
STACK_COMMAND = "from bridge.cli.dev.stack import stack_app; stack_app()"


def python(code: str, *arguments: str, before: Sequence[str] = ()) -> list[str]:
    """Make the words of a command that runs the code."""
    return [*before, sys.executable, "-c", code, *arguments]


def environment(changed: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """Copy this process's environment with the checkout importable; None removes a variable."""
    # Several workers at the same time need different ports.
    own = {"PYTHONPATH": str(CHECKOUT), "BRIDGE_METRICS_PORT": "0"}
    merged: dict[str, str | None] = {**os.environ, **own, **(changed or {})}
    return {name: value for name, value in merged.items() if value is not None}


def run(
    words: Sequence[str], *, changed: Mapping[str, str | None] | None = None, timeout: float = 120, cwd: Path = CHECKOUT
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        words,
        env=environment(changed),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def launch(words: Sequence[str]) -> subprocess.Popen[str]:
    """Start the command in its own session; its output is in the pipe `stdout`."""
    return subprocess.Popen(
        words,
        env=environment(),
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
