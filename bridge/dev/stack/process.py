"""Server processes: what to launch, who it is, how it ends, and why it died."""

import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bridge.dev.stack.ports import held_by_another
from schemas.errors import EnvironmentUnfit

_PROC = Path("/proc")
# The wall-clock time of a start is computed from that of the boot, which is rounded.
_CREATED_TOLERANCE_SECONDS = 1.0
_LOG_TAIL_BYTES = 64 * 1024
_LINE_LENGTH = 300
_DECISIVE = re.compile(r"\b(FATAL|PANIC|ERROR|error:|\w*Error:|\w*Exception\b)", re.ASCII)
# A stack frame or an exception's cause says less than the line it belongs to, and our own early questions say nothing.
_NOISE = re.compile(r"^(\s+at |\s+\.\.\. |Caused by:|\s*$)|the database system is (starting up|shutting down)")


@dataclass(frozen=True)
class Launch:
    """A server to launch: its words, where it runs and writes, and as whom."""

    argv: list[str]
    cwd: Path
    log: Path
    stop_signal: int
    uid: int | None = None
    gid: int | None = None
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Identity:
    """One process for certain: a pid alone may be given to a stranger after its death.

    `started` names the boot and the start in clock ticks since then, which no step of the clock moves. Where it is empty, in
    records of earlier releases or without Linux' /proc, `created` is compared, the start in wall-clock seconds.
    """

    pid: int
    created: float
    started: str = ""

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """The identity of the process that has the pid now; None if there is none alive."""
        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            return cls(pid=pid, created=process.create_time(), started=_started(pid))
        except psutil.NoSuchProcess:
            return None

    def process(self) -> psutil.Process | None:
        """The process if it is still alive and still the same one."""
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            if self.started:
                same = _started(self.pid) == self.started
            else:
                same = abs(process.create_time() - self.created) < _CREATED_TOLERANCE_SECONDS
        except psutil.NoSuchProcess:
            return None
        return process if same else None

    def was_given(self, path: Path) -> bool:
        """True if the process runs and the path, by whatever links, is one of the words of its command line."""
        process = self.process()
        try:
            words = [] if process is None else process.cmdline()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False
        real = os.path.realpath(path)
        return any(word.startswith("/") and os.path.realpath(word) == real for word in words)

    def alive(self) -> bool:
        """True if the process runs."""
        return self.process() is not None


def _started(pid: int) -> str:
    """The boot, and the process's start in clock ticks since then; empty where the system does not tell."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # The second field is a name in parentheses, which may hold some itself; the start is the 22nd.
        told = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        return f"{boot}:{int(told[19])}"
    except (OSError, ValueError, IndexError):
        return ""


def end(identity: Identity, *, stop_signal: int, grace_seconds: float) -> None:
    """Asks the process to stop, and kills it if it hasn't within the grace."""
    process = identity.process()
    if process is None:
        return
    try:
        process.send_signal(stop_signal)
        if not _gone(identity, grace_seconds):
            process.kill()
            _gone(identity, grace_seconds)
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied as error:
        raise EnvironmentUnfit(
            f"process {identity.pid} belongs to another user: stop the stack as that user"
        ) from error


def _gone(identity: Identity, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    # Polled, not waited for: the process is a child of someone else, and dead but unreaped counts as gone.
    while identity.alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def wait_until_ready(
    *,
    name: str,
    identity: Identity,
    ready: Callable[[int], bool],
    cancelled: Callable[[], bool],
    port: int,
    log: Path,
    log_start: int,
    timeout_seconds: float,
) -> None:
    """Returns when the server is `ready`, which is asked with its pid; raises if it dies, takes too long, or is called off."""
    deadline = time.monotonic() + timeout_seconds
    # Whoever holds the port may answer in the place of a server that is dead.
    while not ready(identity.pid) or not identity.alive():
        if not identity.alive():
            why = f"{decisive_line(log, log_start)}{held_by_another(port)}"
            raise EnvironmentUnfit(f"{name} died at start: {why} (log: {log})")
        if cancelled():
            raise EnvironmentUnfit(f"the start of {name} was called off")
        if time.monotonic() > deadline:
            raise EnvironmentUnfit(
                f"{name} did not answer within {timeout_seconds:g} s: {decisive_line(log, log_start)} (log: {log})"
            )
        time.sleep(0.03)


def log_size(log: Path) -> int:
    """Where the next line of the log will begin."""
    return log.stat().st_size if log.exists() else 0


def decisive_line(log: Path, start: int) -> str:
    """The last line since `start` that tells of an error, else the last line at all."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(start, log_size(log) - _LOG_TAIL_BYTES))
            lines = stream.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return "it left no log"
    return pick_decisive(lines)


def pick_decisive(lines: list[str]) -> str:
    """The last line that tells of an error, else the last line."""
    told = [line.strip() for line in lines if not _NOISE.search(line)]
    errors = [line for line in told if _DECISIVE.search(line)]
    return (errors or told or ["it wrote no line"])[-1][:_LINE_LENGTH]
