"""The supervisor of a command with several processes: it starts them, restarts one that ends, and drains all at a signal.

`bridge gateway --processes` and `bridge worker --processes` use it.
"""

import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any, Final

import structlog

from bridge.processes.link import PING, Answering, Asking, StartFailure
from schemas.errors import PreconditionFailed
from telemetry import metrics
from telemetry.shared_values import DIRECTORY, forget_process, shared_counter
from telemetry.terminal import report_crashes

FIRST_SECONDS: Final = 0.5
LONGEST_SECONDS: Final = 30.0
"""The limit of the delay before a restart, which doubles with each failure."""
STEADY_SECONDS: Final = 60.0
"""After a run of this length, the next failure counts as the first one again."""
MOST_UNANSWERED: Final = 8
"""A process that has answered before is killed if it does not answer so many pings in a row."""

_PING_EVERY_SECONDS: Final = 2.0
PING_SECONDS: Final = 0.5
_SPAWN: Final = multiprocessing.get_context("spawn")
_MEMORY: Final = "/dev/shm"  # noqa: S108  # only mkdtemp makes files in it

log = structlog.get_logger(__name__)

Target = Callable[[int, Answering], None]
"""What each process runs, with its number, from 1, and its end of the pipe. It must be picklable."""


class Seat:
    """The place of one process. If the process ends, another one takes the place, with the same number."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.failures = 0
        self.unanswered = self.answers = 0
        self.process: SpawnProcess | None = None
        self.link: Asking | None = None
        self.began = 0.0
        self.restart_at = 0.0
        self.ended_with = 0

    def ask(self, question: str, seconds: float) -> Any:
        """Return the process's answer; None if no process runs, or it does not answer within `seconds`."""
        link = self.link
        return None if link is None else link.ask(question, seconds)

    @property
    def is_healthy(self) -> bool:
        """Whether the place has a process that answers, or that is starting and has not answered before."""
        link = self.link
        return link is not None and (not link.answers or self.ask(PING, PING_SECONDS) is not None)


def delay(failures: int, random: float) -> float:
    """Return the seconds before a restart after `failures` in a row; `random` is between 0 and 1."""
    return min(LONGEST_SECONDS, FIRST_SECONDS * 2.0 ** min(failures - 1, 16)) * (0.75 + 0.25 * random)


def exit_code(ended: int, *, terminated: bool) -> int:
    """Return a process's exit code as shells have it: 128 and the signal's number if a signal has ended the process.

    A process that SIGTERM ends after the supervisor has sent it (`terminated`) had begun no work, and counts as drained.
    """
    if terminated and ended == -signal.SIGTERM:
        return 0
    return 128 - ended if ended < 0 else ended


def worst(codes: Iterable[int]) -> int:
    """Return the exit code of the worst end: a defect or a signal is worse than a refused start, and that than a drain."""
    return max(codes, key=lambda code: (code not in (0, PreconditionFailed.exit_code), code), default=0)


@contextmanager
def shared_metrics(name: str) -> Iterator[Path]:
    """Within the block, processes that are started share their metrics in a temporary directory, in memory if possible."""
    # A process that writes into a mapped file of a full disk is killed (SIGBUS).
    in_memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    directory = tempfile.mkdtemp(prefix=f"bridge-{name}-", dir=in_memory)
    os.environ[DIRECTORY] = directory
    try:
        yield Path(directory)
    finally:
        del os.environ[DIRECTORY]
        shutil.rmtree(directory, ignore_errors=True)


class Supervisor:
    """`count` processes that run `target`, until SIGTERM or SIGINT, or a failed start that would fail again.

    They share their metrics in `directory`. `random` returns numbers between 0 and 1.
    """

    def __init__(self, target: Target, count: int, directory: Path, random: Callable[[], float]) -> None:
        self.seats = [Seat(number) for number in range(1, count + 1)]
        self._target = target
        self._directory = directory
        self._random = random
        self._restarted = shared_counter(metrics.RESTARTS)
        self._leaving = threading.Event()
        self._refused: StartFailure | None = None
        self._pinged_at = 0.0

    def run(self) -> int:
        """Run until a signal, then drain all processes; return the exit code of the worst end.

        Raises PreconditionFailed if a process can't start, and would not be able to later.
        """
        with self._signals() as woken:
            try:
                for seat in self.seats:
                    self._start(seat)
                log.info("processes_started", processes=len(self.seats))
                while not self._leaving.is_set() and self._refused is None:
                    self._turn(woken)
            finally:
                code = self._drain()
        if self._refused is not None:
            raise PreconditionFailed(self._refused.text)
        return code

    @contextmanager
    def _signals(self) -> Iterator[Connection]:
        """Within the block, SIGTERM and SIGINT begin the drain. The connection that is returned is readable then."""
        woken, wakes = _SPAWN.Pipe(duplex=False)

        def leave(*_: object) -> None:
            self._leaving.set()
            wakes.send_bytes(b"signal")

        before = [(one, signal.signal(one, leave)) for one in (signal.SIGTERM, signal.SIGINT)]
        try:
            yield woken
        finally:
            for one, handler in before:
                signal.signal(one, handler)
            woken.close()
            wakes.close()

    def _start(self, seat: Seat) -> None:
        seat.began, seat.unanswered, seat.answers = time.monotonic(), 0, 0
        try:
            # Without free files, neither a pipe nor a process can be made.
            ours, theirs = _SPAWN.Pipe()
        except OSError as error:
            self._wait_before_restart(seat, "process_not_created", error=str(error))
            return
        # The name of the process is the name of its files in the shared directory.
        process = _SPAWN.Process(target=_begin, args=(self._target, seat.number, theirs), name=str(seat.number))
        try:
            process.start()
        except OSError as error:
            ours.close()
            self._wait_before_restart(seat, "process_not_created", error=str(error))
            return
        finally:
            theirs.close()
        seat.process, seat.link = process, Asking(ours)

    def _turn(self, woken: Connection) -> None:
        """Wait for an event or the next task, restart processes whose time has come, and ping the others."""
        running = {seat.process.sentinel: seat for seat in self.seats if seat.process is not None}
        times = [self._pinged_at + _PING_EVERY_SECONDS, *(seat.restart_at for seat in self.seats if not seat.process)]
        ready = wait([*running, woken], max(0.0, min(times) - time.monotonic()))
        for sentinel, seat in running.items():
            if sentinel in ready:
                self._ended(seat)
        if woken in ready or self._refused is not None:
            return
        for seat in self.seats:
            if seat.process is None and seat.restart_at <= time.monotonic():
                self._restarted(1)
                self._start(seat)
                log.info("process_restarted", process=seat.number, failures=seat.failures)
        if time.monotonic() - self._pinged_at >= _PING_EVERY_SECONDS:
            self._pinged_at = time.monotonic()
            self._ping()

    def _ping(self) -> None:
        for seat in self.seats:
            if seat.process is None or seat.link is None:
                continue
            before = seat.answers
            # The answer of a process that starts is read at a later ping.
            seat.ask(PING, PING_SECONDS if seat.link.answers else 0.0)
            seat.answers = seat.link.answers
            # A process that is late because of other questions is not hung.
            seat.unanswered = 0 if seat.answers > before or not seat.answers else seat.unanswered + 1
            if seat.unanswered >= MOST_UNANSWERED:
                log.error("process_hung", process=seat.number, pid=seat.process.pid, unanswered=seat.unanswered)
                seat.process.kill()

    def _ended(self, seat: Seat) -> None:
        """Note why the process has ended, and when to restart it."""
        pid = seat.process.pid if seat.process else None
        failure = self._close(seat)
        if failure is not None and failure.lasting:
            self._refused = failure
        elif failure is not None:
            self._wait_before_restart(seat, "process_start_failed", error=failure.text)
        else:
            self._wait_before_restart(seat, "process_died", pid=pid, exit_code=seat.ended_with)

    def _close(self, seat: Seat) -> StartFailure | None:
        """Wait for the process, and remove what belongs to it; return the failure that it has reported."""
        process, link = seat.process, seat.link
        seat.process = seat.link = None
        if process is None or link is None:
            return None
        process.join()
        seat.ended_with = exit_code(process.exitcode or 0, terminated=self._leaving.is_set())
        process.close()
        link.read_failure()
        link.close()
        forget_process(str(seat.number), self._directory)
        return link.failure

    def _wait_before_restart(self, seat: Seat, event: str, **fields: object) -> None:
        now = time.monotonic()
        seat.failures = 1 if now - seat.began >= STEADY_SECONDS else seat.failures + 1
        seconds = delay(seat.failures, self._random())
        seat.restart_at = now + seconds
        log.error(event, process=seat.number, **fields, restart_seconds=round(seconds, 1))

    def _drain(self) -> int:
        self._leaving.set()
        for seat in self.seats:
            if seat.process is not None:
                with suppress(ProcessLookupError):
                    seat.process.terminate()
        for seat in self.seats:
            self._close(seat)
        return worst(seat.ended_with for seat in self.seats)


def _begin(target: Target, number: int, pipe: Connection) -> None:
    report_crashes()
    target(number, Answering(pipe))
