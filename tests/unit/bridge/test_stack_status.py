"""What `bridge stack status` says of a stack that is not whole."""

import os
from pathlib import Path

import psutil
import pytest
import typer

from bridge.cli.stack import status
from bridge.stack import state
from bridge.stack.credentials import Credentials
from bridge.stack.state import ServerState, StackState

ALIVE = ServerState(1, os.getpid(), psutil.Process().create_time())
GONE = ServerState(2, os.getpid(), 1.0)


@pytest.mark.parametrize(
    ("kafka", "postgres", "says"),
    [
        (GONE, GONE, ""),
        (ALIVE, GONE, f"; Postgres is gone, Kafka (pid {os.getpid()}) still runs: "),
        (GONE, ALIVE, f"; Kafka is gone, Postgres (pid {os.getpid()}) still runs: "),
    ],
    ids=["none", "Kafka", "Postgres"],
)
def test_status_names_the_server_that_still_runs(
    kafka: ServerState, postgres: ServerState, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And how to get a whole stack; the exit code is that of none."""
    state.write(tmp_path, StackState(kafka, postgres, 3, Credentials.new(), ready=True))
    with pytest.raises(typer.Exit) as ended:
        status(tmp_path)
    assert ended.value.exit_code == 1
    remedy = "`bridge stack down`, then `bridge stack up`" if says else ""
    assert capsys.readouterr().out == f"no stack runs in {tmp_path}{says}{remedy}\n"
