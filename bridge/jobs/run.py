"""One run of a job: its summary, and its targets, which fail independently of each other."""

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
    """A target failed, and the run ends at its first failed target."""


@dataclass
class Run(Generic[S]):
    """State that the work of a job receives.

    - `alarm`: the reason for an alert although the work is complete.
    - `finished`: the work ended by itself. `stopped_by`: what stopped it before that.
    - `note`: records the run in the history. `on_record`: the run is recorded.
    - `tell`: receives lines of progress and warnings for people.
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

    @contextmanager
    def target(self, name: str) -> Iterator[None]:
        """Run the work of one target. A failure is recorded, and the run continues with the next target."""
        if self.lock is not None:
            self.lock.check()
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
