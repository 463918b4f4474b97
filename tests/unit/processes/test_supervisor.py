"""The supervisor: restarts with backoff, drains, exit codes, and the one error of a start that would fail again."""

import errno
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.processes.programs import CHECKOUT, environment, python
from support.processes.worker import spawned
from support.wait import wait_until

from bridge.processes.supervisor import LONGEST_SECONDS, Supervisor, delay, exit_code, worst
from telemetry.shared_values import Together

BUDGET_SECONDS = 60


class Run:
    """A running supervisor and what its processes have noted."""

    def __init__(self, process: "subprocess.Popen[bytes]", place: Path) -> None:
        self.process = process
        self._place = place

    def starts(self, number: int, what: str = "started") -> int:
        path = self._place / f"{what}-{number}"
        return len(path.read_text()) if path.exists() else 0

    def has_drained(self, number: int) -> bool:
        return (self._place / f"drained-{number}").exists()

    def log(self) -> str:
        return (self._place / "log").read_text()

    def lines(self, event: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line for line in found if line["event"] == event]

    def figure(self, name: str) -> float:
        found = {one.name: one.samples[0].value for one in Together(self._place / "shared").collect()}
        return float(found[name])

    async def until(self, condition: Callable[[], object]) -> None:
        await wait_until(condition, budget_seconds=BUDGET_SECONDS, describe=self.log)

    async def has_started(self, first: int = 1, second: int = 1) -> None:
        await self.until(lambda: (self.starts(1), self.starts(2)) == (first, second))

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(BUDGET_SECONDS)


@contextmanager
def supervised(behaviour: str, place: Path) -> Iterator[Run]:
    own = environment({"PYTHONPATH": f"{CHECKOUT}:{CHECKOUT / 'tests'}"})
    words = python("from support.processes.supervised import main; main()", behaviour, str(place))
    with (place / "log").open("wb") as log:
        process = subprocess.Popen(words, env=own, stdout=log, stderr=log, start_new_session=True)
    try:
        yield Run(process, place)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_drains_all(tmp_path: Path, number: int) -> None:
    """Each process gets SIGTERM and ends its work; the exit code is 0, and the shared directory is removed."""
    with supervised("steady", tmp_path) as run:
        await run.has_started()
        directory = (tmp_path / "shared").resolve()
        assert directory.exists()
        assert run.stop(number) == 0
        assert run.has_drained(1)
        assert run.has_drained(2)
        assert not directory.exists()


async def test_a_process_that_dies_is_replaced(tmp_path: Path) -> None:
    """The other process goes on, and each restart is logged and counted; the second one comes later."""
    with supervised("dies", tmp_path) as run:
        await run.has_started(1, 3)
        died = run.lines("process_died")
        assert [(line["process"], line["exit_code"]) for line in died] == [(2, 1), (2, 1)]
        assert [line["process"] for line in run.lines("process_restarted")] == [2, 2]
        assert run.figure("bridge_process_restarts") == 2
        assert run.stop() == 0


async def test_a_killed_process_is_replaced(tmp_path: Path) -> None:
    """SIGKILL is an end like others. The gauges of an ended process are not those of its replacement."""
    with supervised("steady", tmp_path) as run:
        await run.until(lambda: min(run.starts(number, "answered") for number in (1, 2)) >= 1)
        assert run.figure("bridge_lanes") == 2
        for pid in spawned(run.process.pid):
            os.kill(pid, signal.SIGKILL)
        await run.has_started(2, 2)
        assert run.figure("bridge_lanes") == 0
        assert {line["exit_code"] for line in run.lines("process_died")} == {137}
        assert run.stop() == 0


async def test_a_start_that_would_fail_again_ends_all(tmp_path: Path) -> None:
    """The error is raised once, without a restart, and the other process drains."""
    with supervised("refused", tmp_path) as run:
        assert run.process.wait(BUDGET_SECONDS) == 3
        assert run.starts(2) == 1
        printed = [line for line in run.log().splitlines() if not line.startswith("{")]
        assert printed == ["error: no such database", "error: and no such topic"]


async def test_a_start_that_may_succeed_later_is_repeated(tmp_path: Path) -> None:
    """A service that is away is logged, and the process is started again."""
    with supervised("away", tmp_path) as run:
        await run.has_started(1, 2)
        (failed,) = run.lines("process_start_failed")
        assert (failed["process"], failed["error"]) == (2, "Postgres is away")
        assert run.stop() == 0


async def test_a_process_that_hangs_is_replaced(tmp_path: Path) -> None:
    """A stopped process does not answer, and is killed."""
    with supervised("steady", tmp_path) as run:
        # At the second question, the first answer has been sent.
        await run.until(lambda: min(run.starts(number, "answered") for number in (1, 2)) >= 2)
        os.kill(spawned(run.process.pid)[1], signal.SIGSTOP)
        await run.until(lambda: run.lines("process_hung"))
        await run.until(lambda: run.starts(1) + run.starts(2) == 3)
        assert run.stop() == 0


async def test_the_exit_code_is_the_worst(tmp_path: Path) -> None:
    """A defect of one process in the drain is the command's."""
    with supervised("defective", tmp_path) as run:
        await run.has_started()
        assert run.stop() == 1


async def test_processes_end_with_their_supervisor(tmp_path: Path) -> None:
    """SIGKILL to the supervisor drains the processes."""
    with supervised("steady", tmp_path) as run:
        await run.has_started()
        run.process.kill()
        await run.until(lambda: run.has_drained(1) and run.has_drained(2))


def test_delays_double_up_to_a_limit() -> None:
    """The jitter makes them shorter only."""
    assert [delay(failures, 1.0) for failures in (1, 2, 3, 4)] == [0.5, 1.0, 2.0, 4.0]
    assert delay(100_000, 1.0) == LONGEST_SECONDS
    assert delay(1, 0.0) == pytest.approx(0.375)


@pytest.mark.parametrize(
    ("ended", "terminated", "code"),
    [(0, True, 0), (1, True, 1), (3, False, 3), (-signal.SIGKILL, True, 137), (-signal.SIGTERM, True, 0),
     (-signal.SIGTERM, False, 143)],
)  # fmt: skip
def test_exit_codes_are_those_of_a_shell(ended: int, terminated: bool, code: int) -> None:
    """A process that SIGTERM ends within the drain had begun no work."""
    assert exit_code(ended, terminated=terminated) == code


@pytest.mark.parametrize(("codes", "code"), [([0, 0], 0), ([0, 3], 3), ([3, 1], 1), ([1, 137, 0], 137), ([], 0)])
def test_the_worst_of_exit_codes(codes: list[int], code: int) -> None:
    """A defect or a signal is worse than a refused start."""
    assert worst(codes) == code


def test_a_process_without_a_pipe_is_started_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without free files its start fails, and the others go on."""
    monkeypatch.setattr("bridge.processes.supervisor.shared_counter", lambda _counter: lambda _count: None)
    supervisor = Supervisor(print, 1, tmp_path, lambda: 1.0)

    def no_pipe() -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("bridge.processes.supervisor._SPAWN", SimpleNamespace(Pipe=no_pipe))
    (seat,) = supervisor.seats
    supervisor._start(seat)
    assert seat.process is None
    assert seat.failures == 1
    assert seat.restart_at > time.monotonic()
