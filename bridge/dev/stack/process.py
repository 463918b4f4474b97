"""Server processes: launch, identity, end, and the cause of a crash."""

import os
import re
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from schemas.errors import PreconditionFailed

_PROC = Path("/proc")
# The wall-clock time of a start is computed from the boot time, which is a rounded value.
_CREATED_TOLERANCE_SECONDS = 1.0
_LOG_TAIL_BYTES = 64 * 1024
_LINE_LENGTH = 300
_DECISIVE = re.compile(r"\b(FATAL|PANIC|ERROR|error:|\w*Error:|\w*Exception\b)", re.ASCII)
# These lines have less information than others: stack frames, causes of exceptions, and the replies to the stack's own
# early connection attempts.
_NOISE = re.compile(r"^(\s+at |\s+\.\.\. |Caused by:|\s*$)|the database system is (starting up|shutting down)")


@dataclass(frozen=True)
class Launch:
    """What is needed to launch a server: command line, working directory, log, and account."""

    argv: list[str]
    cwd: Path
    log: Path
    stop_signal: int
    uid: int | None = None
    gid: int | None = None
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Identity:
    """The identity of one process. A pid alone is not enough, because the system uses a pid again for later processes.

    `started` names the boot of the machine, and the start of the process in clock ticks since the boot, which clock
    adjustments don't change. It is empty in records of earlier releases, and on systems without Linux' /proc. Then
    `created` is compared instead: the start of the process in wall-clock seconds.
    """

    pid: int
    created: float
    started: str = ""

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """Return the identity of the process with this pid; None if there is no live process."""
        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            return cls(pid=pid, created=process.create_time(), started=_started(pid))
        except psutil.NoSuchProcess:
            return None

    def process(self) -> psutil.Process | None:
        """Return the process; None if it has ended or the pid belongs to another process."""
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
        """Return whether the command line of the process contains the path, with links resolved."""
        process = self.process()
        try:
            words = [] if process is None else process.cmdline()
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            return False
        real = os.path.realpath(path)
        return any(word.startswith("/") and os.path.realpath(word) == real for word in words)

    def alive(self) -> bool:
        """Return whether the process runs."""
        return self.process() is not None


def _started(pid: int) -> str:
    """Return the boot's id, and the process's start in clock ticks since the boot; empty if these are not known."""
    try:
        boot = (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # The second field is a name in parentheses, which may contain parentheses itself. The start is the 22nd field.
        told = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
        return f"{boot}:{int(told[19])}"
    except (OSError, ValueError, IndexError):
        return ""


def end(identity: Identity, *, stop_signal: int, grace_seconds: float) -> None:
    """Send the stop signal to the process, and kill it after the grace period."""
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
        raise PreconditionFailed(
            f"process {identity.pid} belongs to another user; stop the stack as that user"
        ) from error


def _gone(identity: Identity, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    # The process is polled, because it is a child of another process. A zombie counts as ended.
    while identity.alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def log_size(log: Path) -> int:
    """Return the size of the log in bytes, which is the offset of its next line."""
    return log.stat().st_size if log.exists() else 0


def decisive_line(log: Path, start: int) -> str:
    """Return the log's last line with an error after the offset `start`, or else the log's last line."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(start, log_size(log) - _LOG_TAIL_BYTES))
            lines = stream.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return "there is no log"
    return pick_decisive(lines)


def pick_decisive(lines: list[str]) -> str:
    """Return the last of these log lines that reports an error, or else the last line."""
    told = [line.strip() for line in lines if not _NOISE.search(line)]
    errors = [line for line in told if _DECISIVE.search(line)]
    return (errors or told or ["the log is empty"])[-1][:_LINE_LENGTH]
