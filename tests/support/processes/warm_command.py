"""Runs of `bridge` commands in processes forked from one that has already loaded the program.

Each has its own environment, standard streams and main thread, like a user's command. It saves the second that Python
needs to load all modules, for each of a hundred commands.
"""

import asyncio
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from pkgutil import walk_packages

from bridge import cli
from support.leaks import WATCH, shows_a_key
from support.processes.programs import CHECKOUT, environment

_LOADED = (
    *(one.name for one in walk_packages(cli.__path__, f"{cli.__name__}.") if not one.ispkg),
    "bridge.doctor.examine", "bridge.doctor.health", "support.processes.warm_command",
)  # fmt: skip


async def bridge(
    *arguments: str, settings: Mapping[str, str], timeout_seconds: float
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, as `support.processes.command.bridge` does."""
    with tempfile.TemporaryDirectory() as directory:
        places = [Path(directory, name) for name in ("out", "err")]
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(_LOADED))
        process = context.Process(
            target=_run, args=(["bridge", *arguments], environment(settings), [str(one) for one in places])
        )
        process.start()
        try:
            await asyncio.to_thread(process.join, timeout_seconds)
            assert process.exitcode is not None, f"{arguments} has not ended within {timeout_seconds:g} s"
        finally:
            process.kill()
        out, err = (one.read_text() for one in places)
    WATCH.know_environment(settings)
    if not shows_a_key(arguments):
        WATCH.look(f"what bridge {' '.join(arguments)} wrote", f"{out}\n{err}".encode())
    return subprocess.CompletedProcess(arguments, process.exitcode, out, err)


def _run(arguments: list[str], variables: dict[str, str], places: list[str]) -> None:
    os.environ.clear()
    os.environ.update(variables)
    os.chdir(CHECKOUT)
    for number, place in zip((0, 1, 2), (os.devnull, *places), strict=True):
        opened = os.open(place, os.O_RDWR | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    sys.argv = arguments
    from bridge.cli import main

    main()
