"""The output of `bridge stack status` for an incomplete stack."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import typer

from bridge.cli.dev.stack import status
from bridge.dev.stack import state
from bridge.dev.stack.credentials import Credentials
from bridge.dev.stack.process import Identity
from bridge.dev.stack.state import ServerState, StackState

GONE = ServerState(2, os.getpid(), 1.0)
OWN = {"Kafka": Path("kafka") / "server.properties", "Postgres": Path("postgres") / "data"}


@contextmanager
def server(path: Path) -> Iterator[ServerState]:
    """A process whose command line is that of the server with this path."""
    words = [sys.executable, "-c", "print(flush=True); input()", str(path)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        # For a moment after the start, the kernel shows an empty command line.
        assert process.stdout is not None
        process.stdout.readline()
        identity = Identity.of(process.pid)
        assert identity is not None
        # The start in ticks: the one in seconds moves with the machine's clock.
        yield ServerState(1, identity.pid, identity.created, identity.started)
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("left", "gone"), [("Kafka", "Postgres"), ("Postgres", "Kafka")])
def test_status_names_the_server_that_still_runs(
    left: str, gone: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The output explains how to get a complete stack, and the exit code is that of a stopped one."""
    with server(tmp_path / OWN[left]) as alive:
        says = f"; {gone} is gone, {left} (pid {alive.pid}) still runs; run `bridge stack down`, then `bridge stack up`"
        kafka, postgres = (alive, GONE) if left == "Kafka" else (GONE, alive)
        assert told(tmp_path, kafka, postgres, capsys) == f"no stack runs in {tmp_path}{says}\n"


def test_status_of_a_stack_that_is_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert told(tmp_path, GONE, GONE, capsys) == f"no stack runs in {tmp_path}\n"


def told(directory: Path, kafka: ServerState, postgres: ServerState, capsys: pytest.CaptureFixture[str]) -> str:
    state.write(directory, StackState(kafka, postgres, 3, Credentials.new(), ready=True))
    with pytest.raises(typer.Exit) as ended:
        status(directory)
    assert ended.value.exit_code == 1
    return capsys.readouterr().out
