"""Runs of the `bridge` command as by a user: in its own process, with settings from its environment."""

import subprocess
import sys
from collections.abc import Mapping

from support.processes.programs import CHECKOUT, environment

COMMAND_SECONDS = 60


def words(*arguments: str) -> list[str]:
    """Make the words of a `bridge` command."""
    return [sys.executable, "-m", "bridge", *arguments]


def bridge(
    *arguments: str, settings: Mapping[str, str], stdin: bytes = b"", timeout: float = COMMAND_SECONDS
) -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end."""
    return subprocess.run(
        words(*arguments),
        env=environment(settings),
        cwd=CHECKOUT,
        input=stdin,
        capture_output=True,
        timeout=timeout,
        check=False,
    )


def start(
    *arguments: str, settings: Mapping[str, str] | None = None, stdin: int = subprocess.DEVNULL, quiet: bool = False
) -> subprocess.Popen[bytes]:
    """Start the command; its output goes to pipes, or is discarded if `quiet`."""
    output = subprocess.DEVNULL if quiet else subprocess.PIPE
    return subprocess.Popen(
        words(*arguments),
        env=environment(settings),
        cwd=CHECKOUT,
        stdin=stdin,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
