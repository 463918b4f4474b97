"""A process that begins as a fork is in all that a test looks at like one that Python starts."""

import json
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import psutil
import pytest
from support.processes.command import start, words
from support.processes.programs import CHECKOUT, environment
from support.processes.warm_server import SYSTEM_CALLS
from support.processes.warm_start import WarmWords

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in SYSTEM_CALLS, reason="no fork for another parent here"
)

LOOK = (sys.executable, "-m", "tests.support.processes.look", "7", "a b")


def look(given: Sequence[str], **options: Any) -> dict[str, Any]:
    changed = {"BRIDGE_SITE": "x", **options.pop("changed", {})}
    done = subprocess.run(given, env=environment(changed), cwd=CHECKOUT, stdout=subprocess.PIPE, text=True, **options)
    assert done.returncode == 7
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


@pytest.fixture
def waiting() -> Iterator["subprocess.Popen[bytes]"]:
    """A command that waits for its standard input."""
    with start("produce", "-", stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("own_session", [False, True])
def test_a_fork_sees_what_an_ordinary_process_sees(own_session: bool) -> None:
    """The environment, session, streams, files, signals and words are the same, and the parent is this process."""
    options = {"stdin": subprocess.DEVNULL, "stderr": subprocess.PIPE, "start_new_session": own_session}
    ordinary, forked = (look(kind(LOOK), **options) for kind in (list, WarmWords))

    assert ordinary == forked
    assert forked["parent"] == os.getpid()
    assert forked["environment"]["BRIDGE_SITE"] == "x"


def test_a_fork_has_the_ordinary_streams_by_default() -> None:
    """Streams that are not given are this process's."""
    assert look(WarmWords(LOOK))["streams"] == look(list(LOOK))["streams"]


def test_a_command_is_a_fork() -> None:
    """Else the tests take an hour of processor time."""
    with start("produce", "-", stdin=subprocess.PIPE) as process:
        assert "warm_server.py" in " ".join(psutil.Process(process.pid).cmdline())
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_fork_ends_by_a_signal(number: signal.Signals, waiting: "subprocess.Popen[bytes]") -> None:
    """Its end is known by the signal, also of its group's."""
    os.killpg(waiting.pid, number)
    assert waiting.wait(30) == -number


ENDS = {
    "a code": "sys.exit(258)",
    "no code": "sys.exit()",
    "a text": "sys.exit('why')",
    "an error": "raise ValueError('why')",
    "a thread": "threading.Timer(0.05, lambda: sys.stdout.write('later')).start()",
    "a last act": "atexit.register(lambda: sys.stdout.write('later'))",
    "a closed stream": "sys.stdout.write('said'); os.close(1)",
    "its own signal": "os.kill(os.getpid(), 15)",
}


@pytest.mark.parametrize("how", ENDS)
def test_a_fork_ends_as_an_ordinary_process(how: str) -> None:
    """The code and all that was written are the same."""
    given = [sys.executable, "-m", "tests.support.processes.look", "code", ENDS[how]]
    ordinary, forked = (
        subprocess.run(kind(given), env=environment({}), cwd=CHECKOUT, capture_output=True, text=True)
        for kind in (list, WarmWords)
    )
    assert (ordinary.returncode, ordinary.stdout) == (forked.returncode, forked.stdout)
    assert ordinary.stderr.splitlines()[-1:] == forked.stderr.splitlines()[-1:]


OTHERWISE: dict[str, tuple[Sequence[str], dict[str, Any]]] = {
    "cold": (words("--version", cold=True), {}),
    "by its command line": (words("stack", "--help"), {}),
    "another locale": (words("--version"), {"changed": {"LC_ALL": "C"}}),
    "another directory": (words("--version"), {"cwd": "/"}),
    "another mask": (words("--version"), {"umask": 0o77}),
}


@pytest.mark.parametrize("why", OTHERWISE)
def test_what_a_fork_can_t_be_like_is_started(why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing asks the program that forks."""

    def fail(*_given: object) -> int:
        raise AssertionError

    monkeypatch.setattr("support.processes.warm_start.WarmServer._ask", fail)
    given, options = OTHERWISE[why]
    changed = options.pop("changed", {})
    done = subprocess.run(given, **{"env": environment(changed), "cwd": CHECKOUT, "capture_output": True, **options})
    assert done.returncode == 0, done.stderr
