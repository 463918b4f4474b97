"""What surrounds the work of every job: lock, time-out, signals, history, summary, alert and exit code.

A job is the work behind a command that changes something; a run is one execution of a job. However a run ends, its end
is recorded, summarised and reported in the same way.
"""

import asyncio
import logging
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    asynccontextmanager,
    contextmanager,
    nullcontext,
)
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Final, Generic, NamedTuple, TypeVar

import structlog

from bridge.cli.common import say, write_json
from bridge.jobs.run import WHOLE, Run
from schemas.config.production import refusals
from schemas.config.service import Service
from schemas.config.settings import Settings
from schemas.documents.run_summary import RunSummary, TargetError, begin_summary
from schemas.errors import BridgeError, InvalidInput, InvariantViolation, RunLocked, SinkUnavailable
from sinks.cooperative import Share, unshared
from sinks.postgres.runs.history import note_begin, note_end, run_lock
from sinks.webhook import call_webhook
from streams.startup_checks import ready

S = TypeVar("S", bound=RunSummary)
log = structlog.get_logger(__name__)

DONE, FATAL, PARTLY, UNFIT = 0, 1, 2, 3


async def _all_ready(settings: Settings, service: Service, look_only: bool) -> None:
    await ready(settings, service, look_only=look_only)


@dataclass(frozen=True)
class Job(Generic[S]):
    """Declaration of a job (the work behind a command that changes something): name, summary, work and `conclude`.

    - `conclude` is called after the work, even if the work was interrupted.
    - `within` is a context manager around the work. It is entered before `RunContext.begun` reports the start of the
      run, so its effects exist even if the process is killed right after the report. It is always exited.
    - `service` names the service whose database grants the job needs.
    - `ready` waits for what the job needs: by default Kafka and Postgres, with current topics and schema.
    - A `quiet` job calls `Run.begins` itself before its first change. Until then the run is not in the history.
    """

    name: str
    summary: type[S]
    work: Callable[[Run[S]], Awaitable[None]]
    conclude: Callable[[Run[S]], None] = lambda _run: None
    within: Callable[[Run[S]], AbstractAsyncContextManager[None]] = lambda _run: nullcontext()
    service: Service = Service.OWNER
    quiet: bool = False
    ready: Callable[[Settings, Service, bool], Awaitable[None]] = _all_ready


@dataclass(frozen=True)
class RunOptions:
    """Options that every job has; `timeout_sec` is in seconds, None means no time-out."""

    scope: str = "all"
    dry_run: bool = False
    fail_fast: bool = False
    timeout_sec: float | None = None
    json_output: str | None = None


Stop = Callable[[str], None]
"""Stops a run. The argument is the cause, which the run's record contains."""

GIVES_WAY: Final = "a replay of another organisation, which runs in its place now"
"""The cause of a stop in favour of another organisation; a later run continues the work."""


@contextmanager
def _signals(stop: Stop) -> Iterator[None]:
    loop, both = asyncio.get_running_loop(), (signal.SIGTERM, signal.SIGINT)
    for which in both:
        loop.add_signal_handler(which, stop, which.name)
    try:
        yield
    finally:
        for which in both:
            loop.remove_signal_handler(which)


@dataclass(frozen=True)
class RunContext:
    """The environment of a run (one execution of a job): what can stop the run, and who is informed of it.

    - `stoppable` connects the function that stops the run with its triggers, such as signals.
    - `tell` is called with each line of progress.
    - `begun` is called with the run's id once the run holds its lock and the job has begun.
    - `answers` returns whether an HTTP request still waits for the run, and will receive the reason of a failure.
    - `left_out` is called for each failure that an alert would report. It returns the number of failures that were not
      reported since the last alert, or None if this failure must not be reported either.
    - `share` limits how long the run may occupy the event loop.
    """

    stoppable: Callable[[Stop], AbstractContextManager[None]] = _signals
    tell: Callable[[str], None] = say
    begun: Callable[[str], None] = lambda _run_id: None
    answers: Callable[[], bool] = lambda: False
    left_out: Callable[[], int | None] = lambda: 0
    share: Share = field(default_factory=unshared)


A_COMMAND: Final = RunContext()
"""The context of a process that runs a single job."""


class Performed(NamedTuple, Generic[S]):
    """Result of a run; `fatal` is the error that ended the run before its work was complete."""

    summary: S
    code: int
    fatal: BridgeError | None


class Stopped(BridgeError):
    """The run was stopped before its work was complete."""


class TimedOut(Stopped):
    """The run was stopped at its time limit."""


class GaveWay(Stopped):
    """The run was stopped so that another organisation's run could start.

    This is no failure: a later run continues its work.
    """

    exit_code = DONE


async def perform(job: Job[S], settings: Settings, options: RunOptions) -> tuple[S, int]:
    """Run the job as a command; returns its summary and exit code. The summary is written in every case."""
    done = await perform_within(A_COMMAND, job, settings, options)
    return done.summary, done.code


async def perform_within(around: RunContext, job: Job[S], settings: Settings, options: RunOptions) -> Performed[S]:
    """Run the job in the environment `around`; return the result of the run."""
    started = datetime.now(UTC)
    summary = begin_summary(job.name, started, job.summary, dry_run=options.dry_run)
    run = Run(summary, options.fail_fast, tell=around.tell, share=around.share)
    structlog.contextvars.bind_contextvars(run_id=run.summary.run_id, script=job.name)
    log.info("run_started", status="started", scope=options.scope, dry_run=options.dry_run)
    fatal: BridgeError | None = None
    defect: Exception | None = None
    try:
        async with _within(options.timeout_sec, around, run):
            await _locked(around, job, run, settings, options, started)
    except BridgeError as error:
        fatal = error
    except Exception as error:  # noqa: BLE001  # raised again after the run's end is recorded
        defect, fatal = error, InvariantViolation(f"{type(error).__name__}: {error}")
    if fatal is not None:
        run.summary.errors += [TargetError(target=WHOLE, reason=line) for line in str(fatal).splitlines()]
    job.conclude(run)
    code = _exit_code(run, fatal)
    ended = datetime.now(UTC)
    run.summary = run.summary.ended(ended, started)
    code = _written(run, options.json_output, code)
    elapsed = run.summary.duration_ms
    log.info("run_ended", status="succeeded" if code == DONE else "failed", exit_code=code, elapsed_ms=elapsed)
    if not options.dry_run and not _is_nothing(run, code, fatal, around):
        left_out = 0 if code == DONE else around.left_out()
        if run.on_record or left_out is not None:
            await _noted(settings, run, (started, ended), code)
            if around is A_COMMAND:
                _name_run(run)
        unfit = code == UNFIT and (around.answers() or isinstance(fatal, RunLocked))
        if left_out is not None and not unfit:
            await tell_of(settings, run.summary, code, run.alarm, left_out)
    structlog.contextvars.unbind_contextvars("run_id", "script")
    if defect is not None:
        raise defect
    return Performed(run.summary, code, fatal)


def _name_run(run: Run[S]) -> None:
    """Print the run's id if no log line shows the id: on a terminal without INFO logging."""
    if sys.stderr.isatty() and not logging.getLogger(__name__).isEnabledFor(logging.INFO):
        run.tell(f"run {run.summary.run_id}")


async def _locked(
    around: RunContext, job: Job[S], run: Run[S], settings: Settings, options: RunOptions, started: datetime
) -> None:
    await job.ready(settings, job.service, options.dry_run)
    # The hour is for display only. It is no part of the lock, or two runs could overlap at the turn of an hour.
    name = f"script:{job.name}:{options.scope}"
    async with run_lock(settings.dsn, name, f"{name}:{started:%Y-%m-%d-%H}") as run.lock:
        if not options.dry_run:
            run.note = partial(note_begin, settings.dsn, run.summary.run_id, job.name, started)
            if not job.quiet:
                await run.begins()
        async with job.within(run):
            around.begun(run.summary.run_id)
            await job.work(run)
        run.finished = True


@asynccontextmanager
async def _within(timeout_sec: float | None, around: RunContext, run: Run[S]) -> AsyncIterator[None]:
    """Cancel the `with` block after `timeout_sec` seconds, or when `around` stops the run; raises Stopped."""
    task = asyncio.current_task()

    def stop(by: str) -> None:
        if task is not None and not run.stopped_by:
            run.stopped_by = by
            task.cancel()

    try:
        with around.stoppable(stop):
            async with asyncio.timeout(timeout_sec):
                yield
    except TimeoutError:
        raise TimedOut(f"stopped after --timeout-sec {timeout_sec:g}; what was committed stays") from None
    except asyncio.CancelledError:
        if not run.stopped_by or task is None:
            raise
        task.uncancel()
        stopped = GaveWay if run.stopped_by == GIVES_WAY else Stopped
        raise stopped(f"stopped by {run.stopped_by}; what was committed stays") from None


def _exit_code(run: Run[S], fatal: BridgeError | None) -> int:
    summary = run.summary
    if isinstance(fatal, SinkUnavailable):
        return UNFIT if not summary.processed_total else FATAL
    if fatal is not None:
        return fatal.exit_code
    if run.alarm is not None:
        return FATAL
    if summary.failed_total:
        return PARTLY if summary.succeeded_total else FATAL
    return DONE


def _written(run: Run[S], path: str | None, code: int) -> int:
    """Write the run's summary to `path`; return the exit code.

    If the summary can't be written, a run that succeeded counts as failed.
    """
    if path is not None:
        try:
            write_json(run.summary.model_dump(mode="json"), path)
        except BridgeError as error:
            run.tell(f"error: {error}")
            return code or error.exit_code
    return code


def _is_nothing(run: Run[S], code: int, fatal: BridgeError | None, around: RunContext) -> bool:
    """Return whether this run is neither recorded in the history nor alerted.

    That is so for a run that changed nothing and succeeded, or whose caller learns the reason of the failure. An HTTP
    request that still waits learns the reason of every failure except a defect. A command learns the reason of invalid
    input. Failures of the environment or the settings are recorded and alerted, because an operator has to fix them.
    """
    asked_wrongly = isinstance(fatal, InvalidInput) and run.lock is not None
    told = asked_wrongly or (around.answers() and not isinstance(fatal, InvariantViolation))
    return not run.on_record and (code == DONE or told)


async def _noted(settings: Settings, run: Run[S], times: tuple[datetime, datetime], code: int) -> None:
    """Record the end of the run in the history. If that fails, print a warning; the run's result does not change."""
    summary = run.summary
    try:
        await note_end(
            settings.dsn, summary.run_id, summary.script, times, code, summary.in_history().model_dump_json()
        )
    except BridgeError as error:
        run.tell(f"warning: the run's end is not recorded in the history: {error}")


async def tell_of(
    settings: Settings, summary: RunSummary, code: int, alarm: str | None = None, left_out: int = 0
) -> None:
    """Call the webhook, if one is configured, for a run that failed or could not begin.

    The webhook is called last, with a time limit. `alarm` is the reason why a run fails although its work is complete.
    `left_out` is the number of failed runs before this one that were not reported. The message's type is
    `bridge.run.unfit` for exit code 3, otherwise `bridge.run.failed`.
    """
    url = settings.worker_alert_webhook
    if url is None or code == DONE:
        return
    if settings.env == "production" and any("ALERT_WEBHOOK" in line for line in refusals(settings, (), Service.WORKER)):
        # Production refuses these settings of the webhook, so this call must not use them either.
        return
    data = {
        "script": summary.script,
        "run_id": summary.run_id,
        "exit_code": code,
        "reason": (alarm or "; ".join(f"{one.target}: {one.reason}" for one in summary.errors))[:500],
        "processed_total": summary.processed_total,
        "failed_total": summary.failed_total,
        "left_out": left_out,
    }
    kind = "bridge.run.unfit" if code == UNFIT else "bridge.run.failed"
    message_id = f"run_{summary.run_id}"
    await call_webhook(url.get_secret_value(), settings.webhook_secrets, kind, data, message_id=message_id)
