"""The servers of a test run: there is one set, also when processes of the run crash."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from support.wait import wait_until

CONFTEST = """
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.infrastructure import shared_servers
from support.infrastructure.shared_servers import Servers, pytest_configure_node, servers, share_servers

JOURNAL = Path(__file__).with_name("journal")

def note(word):
    with JOURNAL.open("a") as file:
        file.write(word + "\\n")

@contextmanager
def prepared(stack):
    note("started")
    if stack == "none":
        raise OSError("no port is free")
    try:
        yield Servers(stack, "template")
    finally:
        note("ended")

shared_servers.prepared = prepared

def pytest_addoption(parser):
    parser.addoption("--stack", default="some")

def pytest_configure(config):
    share_servers(config)

@pytest.fixture
def asked(servers):
    note("asked")
    assert servers == ("some", "template")
"""
TESTS = {
    "asks": "def test_that_asks(asked): pass",
    "crashes": "import os\ndef test_that_crashes(asked): os._exit(1)\ndef test_that_asks(asked): pass",
    "waits": "import time\ndef test_that_waits(asked): time.sleep(600)",
    "idles": "def test_that_asks_for_nothing(): pass",
}


def journal(directory: Path) -> list[str]:
    path = directory / "journal"
    return path.read_text().split() if path.exists() else []


def run(directory: Path, test: str, *words: str) -> "subprocess.Popen[str]":
    (directory / "conftest.py").write_text(CONFTEST)
    (directory / "test_inner.py").write_text(TESTS[test])
    root = Path(__file__).parents[2]
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "xdist.plugin", "-c", os.devnull, f"--rootdir={directory}", *words],
        cwd=directory,
        env=os.environ | {"PYTHONPATH": f"{root / 'tests'}:{root}", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # A process in a shell's background ignores SIGINT, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no other thread runs
    )


@pytest.mark.parametrize(
    ("test", "words", "expected"),
    [
        ("asks", ("-n", "0"), ["started", "asked", "ended"]),
        ("asks", ("-n", "2", "--dist", "each"), ["started", "asked", "asked", "ended"]),
        ("crashes", ("-n", "1"), ["started", "asked", "asked", "ended"]),
        ("idles", ("-n", "1"), []),
    ],
)
def test_servers_start_once_and_end_with_the_run(
    test: str, words: tuple[str, ...], expected: list[str], tmp_path: Path
) -> None:
    said, _ = run(tmp_path, test, *words).communicate(timeout=120)
    assert journal(tmp_path) == expected, said


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_ends_the_servers(sent: signal.Signals, tmp_path: Path) -> None:
    running = run(tmp_path, "waits", "-n", "1")
    try:
        await wait_until(lambda: "asked" in journal(tmp_path), budget_seconds=120, describe="the test to wait")
        os.killpg(running.pid, sent)
        said, _ = running.communicate(timeout=120)
    finally:
        running.kill()
        running.wait(10)
    assert journal(tmp_path) == ["started", "asked", "ended"], said


def test_a_start_that_fails_is_told_to_each_worker_and_not_repeated(tmp_path: Path) -> None:
    said, _ = run(tmp_path, "asks", "-n", "2", "--dist", "each", "--stack", "none").communicate(timeout=120)
    error = "RuntimeError: the servers of this run did not start: OSError: no port is free"
    assert sum(line.startswith("E ") and line.endswith(error) for line in said.splitlines()) == 2, said
    assert journal(tmp_path) == ["started"]
