"""`bridge demo` and `bridge up`: a stack of their own, a real worker, and no process left at the end."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import asyncpg
import psutil
import pytest
from support.infrastructure.databases import run_apart
from support.infrastructure.servers import stack_directory
from support.processes.command import bridge, start
from support.processes.programs import environment
from support.wait import wait_until

from bridge.dev.demo.mix import Mix
from bridge.dev.stack import Stack

# A curl of our own for bare machines: -H HEADER URL -d DATA.
CURL = b"""curl() { python -c '
import sys, urllib.request
_, header, url, _, data = sys.argv[1:]
request = urllib.request.Request(url, data.encode(), dict([header.split(": ")]))
print(urllib.request.urlopen(request, timeout=30).read().decode())' "$@"; }
"""


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory for temporary files that Postgres' account can pass through."""
    with stack_directory() as made:
        yield made


def paste(*lines: bytes) -> bytes:
    """The output of a shell that runs these lines."""
    changed = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-ec", b"".join(lines)], env=environment(changed), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def persisted(url: str, event_id: str) -> None:
    """Return once the event has a row."""
    conn = await asyncpg.connect(url)
    try:
        await wait_until(
            lambda: conn.fetchval("SELECT count(*) = 1 FROM bridge_event WHERE event_id = $1", event_id),
            budget_seconds=40,
            describe="the event's row",
        )
    finally:
        await conn.close()


def left_over(directory: Path) -> list[list[str]]:
    """The processes with the directory in their command lines."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if any(str(directory) in word for word in line):
            found.append(line)
    return found


def test_a_small_demo_is_as_its_mix_says(directory: Path) -> None:
    """The demo exits with 0, a balanced audit and the expected counts, regardless of the environment."""
    elsewhere = {
        "TMPDIR": str(directory),
        "BRIDGE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "BRIDGE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
    }
    done = bridge("demo", "--events", "600", "--seed", "3", "--json-output", "-", settings=elsewhere, timeout=180)
    assert done.returncode == 0, done.stderr.decode()
    found = json.loads(done.stdout)
    expected = Mix(600, 3, 0).expectation()
    assert found["script"] == "demo"
    assert found["audit_balanced"]
    assert found["as_expected"]
    assert found["errors"] == []
    assert 400 < found["through_gateway_total"] < 600
    assert found["normalized_total"] == expected.normalized
    assert found["dropped_by_reason"] == {reason.value: count for reason, count in expected.dropped.items()}
    assert 1 <= found["healed_total"] <= expected.late
    assert 0 < found["produce_to_row_ms"]["p50"] <= found["produce_to_row_ms"]["p99"]
    assert found["worker_exit_code"] == 0
    assert left_over(directory) == []
    assert not list(directory.glob("ghostlink-demo-*"))


def workers_among(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that run a worker; the stack's helper processes may change meanwhile."""
    found = []
    for one in processes:
        with suppress(psutil.NoSuchProcess):
            if one.cmdline()[-1:] == ["worker"]:
                found.append(one)
    return found


def test_ctrl_c_ends_up_cleanly(directory: Path) -> None:
    """`bridge up` prints how to send events and commits them; Ctrl-C drains it, and only its data stays."""
    home = directory / "stack"
    with start("up", "--dir", str(home)) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, b"")
        exports = list(islice((line for line in lines if line.startswith(b"export ")), 2))
        sending = list(islice((line for line in lines if line.startswith((b"KEY=", b"curl "))), 2))
        said = paste(CURL, *exports, *sending)
        url = exports[1].decode().partition("=")[2].strip()
        run_apart(persisted(url, json.loads(said)["results"][0]["event_id"]))
        process.send_signal(signal.SIGINT)
        # Read to the end: a full pipe would block the process.
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert b"BRIDGE_KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:" in exports[0]
    assert b"BRIDGE_DATABASE_URL=postgresql://" in exports[1]
    assert left_over(directory) == []
    assert (home / "postgres").exists()


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -9)])
def test_an_ended_demo_takes_everything_with_it(directory: Path, number: int, exit_code: int) -> None:
    """Interrupted, terminated or killed, the demo takes worker, Kafka and Postgres with it."""
    with start("demo", settings={"TMPDIR": str(directory)}) as process:
        assert process.stderr is not None
        assert any(line.startswith(b"in ") for line in iter(process.stderr.readline, b""))
        others = psutil.Process(process.pid).children(recursive=True)
        assert len(workers_among(others)) == 2
        process.send_signal(number)
        process.communicate(timeout=90)
        assert process.returncode == exit_code
    _, alive = psutil.wait_procs(others, timeout=60)
    assert alive == []
    assert left_over(directory) == []
    if number != signal.SIGKILL:
        assert not list(directory.glob("ghostlink-demo-*"))


def test_a_worker_that_dies_is_one_line_and_the_logs_are_kept(directory: Path) -> None:
    """If the worker is killed the demo exits with 1 and one line that names the log files."""
    with start("demo", settings={"TMPDIR": str(directory)}) as process:
        assert process.stderr is not None
        assert any(line.startswith(b"in ") for line in iter(process.stderr.readline, b""))
        workers_among(psutil.Process(process.pid).children(recursive=True))[-1].kill()
        _, errors = process.communicate(timeout=90)
    line = errors.decode().splitlines()[-1]
    assert process.returncode == 1
    assert line.startswith("error: the worker ended with exit code 137")
    (home,) = directory.glob("ghostlink-demo-*")
    assert f"(logs: {home / 'logs'})" in line
    assert (home / "logs" / "worker.log").stat().st_size > 0
    assert left_over(directory) == []
    Stack(home).purge()
