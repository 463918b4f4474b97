"""Runs the project in a Python of its own, as another program would."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import bridge

CHECKOUT = Path(bridge.__file__).resolve().parent.parent
STACK_COMMAND = "from bridge.cli.dev.stack import stack_app; stack_app()"


def python(code: str, *arguments: str, before: Sequence[str] = ()) -> list[str]:
    """The words that run the code."""
    return [*before, sys.executable, "-c", code, *arguments]


def environment(changed: Mapping[str, str | None] | None = None) -> dict[str, str]:
    """This process's environment with the checkout importable; a None takes a variable away."""
    # Workers side by side, each at a port of its own.
    own = {"PYTHONPATH": str(CHECKOUT), "BRIDGE_METRICS_PORT": "0"}
    merged: dict[str, str | None] = {**os.environ, **own, **(changed or {})}
    return {name: value for name, value in merged.items() if value is not None}


def run(
    words: Sequence[str], *, changed: Mapping[str, str | None] | None = None, timeout: float = 120, cwd: Path = CHECKOUT
) -> subprocess.CompletedProcess[str]:
    """Runs the words to their end."""
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
    """Launches the words in a session of their own; what they write is read from `stdout`."""
    return subprocess.Popen(
        words,
        env=environment(),
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
