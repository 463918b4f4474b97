"""One run of a job: its summary as it grows, and targets that fail by themselves."""

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
"""The target of an error that ended the run as a whole."""


class FailedFast(BridgeError):
    """A target failed, and the run was told to end at the first that does."""


@dataclass
class Run(Generic[S]):
    """What the work of a job is given. `alarm` is why somebody has to be told though the work was done.

    `finished` is set once the work has come to its own end, `stopped_by` what told it to end before. `note` writes the run
    into the history, and `on_record` says that this was done.

    `tell` takes lines of progress and warnings, for people. `share` is what its long work has of the event loop.
    """

    summary: S
    fail_fast: bool = False
    lock: RunLock | None = None
    alarm: str | None = None
    finished: bool = False
    stopped_by: str = ""
    # Its arguments have the database URL, which no representation of a run is to show.
    note: Callable[[], Awaitable[None]] | None = field(default=None, repr=False)
    on_record: bool = False
    tell: Callable[[str], None] = say
    share: Share = field(default_factory=unshared)
    _targets: dict[str, bool] = field(default_factory=dict)

    @property
    def dry_run(self) -> bool:
        """Whether nothing may be left behind."""
        return self.summary.dry_run

    async def begins(self) -> None:
        """Notes the run in the history, before what it changes; once, and not if it is dry."""
        if self.note is not None and not self.on_record:
            await self.note()
            self.on_record = True

    @contextmanager
    def target(self, name: str) -> Iterator[None]:
        """One target's share of the work: its failure is noted, and the next target goes on."""
        if self.lock is not None:
            self.lock.check()
        started = time.monotonic()
        try:
            with structlog.contextvars.bound_contextvars(target=name):
                yield
        except SinkUnavailable:
            # Not this target's fault, and the next one's store is the same.
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
