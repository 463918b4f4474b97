"""Runs of the `bridge` command as by a user: in its own process, with settings from its environment."""

import asyncio
import subprocess
import sys
from collections.abc import Mapping

from support.processes.programs import CHECKOUT, environment
from support.processes.warm_start import WarmWords

COMMAND_SECONDS = 60
_BY_COMMAND_LINE = frozenset({"up", "demo", "stack"})
"""Commands whose processes find each other by their command lines."""


def words(*arguments: str, cold: bool = False) -> list[str]:
    """Make the words of a `bridge` command; with `cold` Python starts it and loads the program."""
    made = [sys.executable, "-m", "bridge", *arguments]
    return made if cold or _BY_COMMAND_LINE.intersection(arguments[:1]) else WarmWords(made)


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


async def bridge_text(
    *arguments: str, settings: Mapping[str, str], timeout: float = COMMAND_SECONDS
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end beside the event loop; the output is text."""
    done = await asyncio.to_thread(bridge, *arguments, settings=settings, timeout=timeout)
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def start(
    *arguments: str,
    settings: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    quiet: bool = False,
    cold: bool = False,
) -> subprocess.Popen[bytes]:
    """Start the command; its output goes to pipes, or is discarded if `quiet`."""
    output = subprocess.DEVNULL if quiet else subprocess.PIPE
    return subprocess.Popen(
        words(*arguments, cold=cold),
        env=environment(settings),
        cwd=CHECKOUT,
        stdin=stdin,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )
