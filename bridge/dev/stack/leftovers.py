"""Removes the lock file of a killed Postgres when none of its processes runs any more."""

import time
from pathlib import Path

import psutil

from schemas.errors import PreconditionFailed

_ORPHANS_SECONDS = 15.0


def forget_dead_postmaster(data: Path) -> None:
    """Delete the lock file of a dead Postgres.

    Postgres itself respects the lock file as long as the pid in it exists. This pid may now belong to a zombie process,
    or to another process, because a restarted container uses the same pids again.
    """
    lock = data / "postmaster.pid"
    deadline = time.monotonic() + _ORPHANS_SECONDS
    while lock.exists():
        alive = _processes_in(data)
        if not alive:
            lock.unlink(missing_ok=True)
        elif time.monotonic() > deadline:
            raise PreconditionFailed(
                f"a Postgres that this stack did not start (pid {alive[0]}) runs on {data}; end it, then start the stack again"
            )
        else:
            time.sleep(0.05)


def _processes_in(data: Path) -> list[int]:
    """Return the live processes of a Postgres whose data directory is `data`: those whose working directory it is."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and Path(process.cwd()) == data:
                found.append(process.pid)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found
