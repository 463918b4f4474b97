"""One run (execution) of a job: its summary, and its targets.

A target is a part of the job's work, such as one site. One target can fail while the others succeed.
"""

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import structlog

from bridge.cli.common import say
from schemas.documents.run_summary import RunSummary, TargetError
from schemas.errors import BridgeError, SinkUnavailable
from sinks.cooperative import Share, unshared
from sinks.postgres.runs.history import RunLock

S = TypeVar("S", bound=RunSummary)
log = structlog.get_logger(__name__)

WHOLE = "run"
"""The name under which the summary reports an error that ended the whole run."""


class FailedFast(BridgeError):
    """A target (a part of the job's work, such as one site) failed, and `--fail-fast` ends the run there."""


@dataclass
class Run(Generic[S]):
    """One execution of a job, as the job's work sees it.

    - `alarm`: the reason for an alert although the work is complete.
    - `finished`: whether the work ended by itself. `stopped_by`: what stopped the work, such as a signal's name.
    - `note`: is called to record the run in the history. `on_record`: whether the run is recorded.
    - `tell`: is called with each line of progress and each warning for people.
    - `share`: limits how long the work may occupy the event loop.
    """

    summary: S
    fail_fast: bool = False
    lock: RunLock | None = None
    alarm: str | None = None
    finished: bool = False
    stopped_by: str = ""
    # The arguments of `note` contain the database URL, which must not appear in the run's repr.
    note: Callable[[], Awaitable[None]] | None = field(default=None, repr=False)
    on_record: bool = False
    tell: Callable[[str], None] = say
    share: Share = field(default_factory=unshared)
    _targets: dict[str, bool] = field(default_factory=dict)

    @property
    def dry_run(self) -> bool:
        """Return whether the run must not change anything."""
        return self.summary.dry_run

    async def begins(self) -> None:
        """Record the run in the history, before its first change.

        A second call does nothing; a dry run is not recorded.
        """
        if self.note is not None and not self.on_record:
            await self.note()
            self.on_record = True

    def check_lock(self) -> None:
        """Raise SinkUnavailable if the run has lost its lock."""
        if self.lock is not None:
            self.lock.check()

    def warn(self, text: str) -> None:
        """Add a warning to the summary, and tell it to people."""
        self.summary.warnings.append(text)
        self.tell(f"warning: {text}")

    @contextmanager
    def target(self, name: str) -> Iterator[None]:
        """Enclose the work of one target (a part of the job, such as a site), and record a failure of that work.

        The run then continues with the next target, unless `fail_fast` is set or Postgres or Kafka is unreachable.
        """
        self.check_lock()
        started = time.monotonic()
        try:
            with structlog.contextvars.bound_contextvars(target=name):
                yield
        except SinkUnavailable:
            # Postgres or Kafka is unreachable, so the next target would fail too.
            self._done(name, started, ok=False)
            raise
        except BridgeError as error:
            self.summary.errors.append(TargetError(target=name, reason=str(error)))
            self._done(name, started, ok=False)
            if self.fail_fast:
                raise FailedFast(f"{name} failed, and --fail-fast was given") from error
        else:
            self._done(name, started, ok=True)

    def _done(self, name: str, started: float, *, ok: bool) -> None:
        self._targets[name] = ok and self._targets.get(name, True)
        failed = sum(not one for one in self._targets.values())
        self.summary.targets_total = len(self._targets)
        self.summary.failed_total, self.summary.succeeded_total = failed, len(self._targets) - failed
        elapsed = round((time.monotonic() - started) * 1000)
        log.info("target_done", target=name, status="succeeded" if ok else "failed", elapsed_ms=elapsed)
