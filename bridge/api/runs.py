"""Runs of jobs in the API service. A job is one change of the stream or of dead letters, such as a discard or a replay.

The request of a short job waits for its end. Replays run in the background, in a limited number.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, Final

import structlog

from bridge.api.authentication import Caller
from bridge.api.failures import Failures
from bridge.api.places import Place, Places
from bridge.http.problems import Code, Problem
from bridge.jobs.frame import (
    DONE,
    GaveWay,
    Job,
    Performed,
    RunContext,
    RunOptions,
    S,
    Stop,
    Stopped,
    TimedOut,
    perform_within,
)
from bridge.jobs.replay import FINISH_SECONDS
from bridge.jobs.run import Run
from schemas import errors
from schemas.config.duration import Duration
from schemas.config.settings import Settings
from schemas.documents.replay import PlanState, ReplaySummary
from schemas.errors import BridgeError
from sinks.cooperative import Share
from sinks.postgres.runs.history import acting_as
from telemetry import metrics

_LEAVING: Final = "the end of the service"
_NOT_WAITING: Final = {
    "start_timeout": Duration("2s"),
    "startup_without_postgres": False,
    "startup_without_kafka": False,
}
# Seconds to record the end of a run, after its batch in flight has ended.
_NOTE_SECONDS: Final = 10.0
TURNS_LOOK_SECONDS: Final = 5.0
"""Seconds between checks whether a replay that gave its place to another can continue."""

log = structlog.get_logger(__name__)


class Runs:
    """The jobs in flight, such as discards and replays.

    A job continues if its client disconnects. Its end is recorded in the history of runs (`bridge runs list`). The
    number of replays at the same time is limited; beyond the limit, the replays of the organisations take turns.
    """

    def __init__(self, settings: Settings, most_replays: int, most_of_one_org: int) -> None:
        # A command waits for unreachable services; an HTTP client receives an error instead.
        self._settings = settings.model_copy(update=_NOT_WAITING)
        self._places = Places(most_replays, most_of_one_org)
        self._plans = Places(settings.api_max_plans, settings.api_max_plans_per_org, what="plans and dry runs")
        self._failures = Failures()
        self.share = Share()
        """Limits how long plans, replays and long reads together may occupy the event loop."""
        self._waiting: list[Place[ReplaySummary]] = []
        self._turns: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stops: set[Stop] = set()
        self._leaving = False

    @property
    def replays(self) -> int:
        """Return the number of replays in flight."""
        return self._places.taken

    async def finish(self, job: Job[S], caller: Caller, scope: str, *, dry_run: bool = False) -> Performed[S]:
        """Run the job to its end; raises Problem if an error ended the job before its work was complete."""
        return _whole(await asyncio.shield(self._started(Place(job, caller, scope), dry_run=dry_run)))

    async def forecast(self, job: Job[S], caller: Caller, scope: str, *, dry_run: bool) -> Performed[S]:
        """Run a job that forecasts what today's code would do with dead letters if they were replayed.

        Their number and their time are limited. A job counts until its end, even if its client disconnects before.
        Meanwhile its transaction keeps Postgres from removing dead rows.
        """
        if (problem := self._plans.refusal(caller)) is not None:
            raise problem
        place = Place(job, caller, scope)
        self._plans.take(place)
        task = self._started(place, dry_run=dry_run, timeout_sec=self._settings.api_plan_timeout.seconds)
        task.add_done_callback(lambda _task: self._plans.free(place))
        return _whole(await asyncio.shield(task))

    async def begin_replay(self, job: Job[ReplaySummary], caller: Caller, scope: str) -> str:
        """Start a replay in the background, and return the id of its run as soon as the run holds the plan's lock.

        Raises Problem if the run could not begin. If the limit of concurrent replays is reached and the caller's
        organisation runs none, a replay of another organisation is stopped, and continues when it has its next turn.
        """
        if any(one.scope == scope for one in self._waiting):
            raise Problem(Code.ANOTHER_RUN, "the plan's replay waits for its turn, and continues by itself")
        return await self._begin(Place(job, caller, scope))

    async def _begin(self, place: Place[ReplaySummary]) -> str:
        await self._take(place)
        begun: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        place.begun = begun
        task = self._started(place)
        task.add_done_callback(partial(self._left, place))
        both: set[asyncio.Future[Any]] = {task, begun}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if begun.done():
            place.task = task
            return begun.result()
        done = task.result()
        raise problem_of(done.fatal or BridgeError("the run did not begin"), done.summary.run_id)

    async def _take(self, place: Place[ReplaySummary]) -> None:
        """Count the replay towards the limit of concurrent replays; raises Problem if the limit is reached.

        If another organisation's replay is stopped for it, wait until that one has finished its batch.
        """
        problem = self._places.refusal(place.caller)
        other = None if problem is None else self._places.to_give_way(place.caller)
        if problem is not None and other is None:
            raise problem
        self._places.take(place)
        self._show()
        if other is not None and other.task is not None:
            other.give_way()
            try:
                await asyncio.wait({other.task})
            except asyncio.CancelledError:
                self._places.free(place)
                raise

    def _left(self, place: Place[ReplaySummary], task: asyncio.Task[Performed[ReplaySummary]]) -> None:
        self._places.free(place)
        if not self._leaving and _gave_way(task):
            self._waiting.append(place)
            if self._turns is None or self._turns.done():
                self._turns = asyncio.create_task(self._take_turns())
        self._show()

    async def _take_turns(self) -> None:
        """Continue the replays that were stopped for others, when fewer replays run or others have run long enough."""
        while self._waiting:
            await asyncio.sleep(TURNS_LOOK_SECONDS)
            for place in list(self._waiting):
                try:
                    await self._begin(place)
                except Problem as problem:
                    if problem.code in (Code.TOO_MANY_RUNS, Code.SERVICES_AWAY):
                        continue
                    # The plan was cancelled meanwhile, or another process runs it.
                    log.warning("replay_resume_failed", scope=place.scope, detail=str(problem))
                self._waiting.remove(place)
                self._show()

    def leave(self) -> None:
        """Stop all jobs in flight; no job begins after this."""
        self._leaving = True
        if self._turns is not None:
            self._turns.cancel()
        for stop in list(self._stops):
            stop(_LEAVING)

    async def ended(self) -> None:
        """Wait until each job in flight has recorded its end."""
        self.leave()
        if self._turns is not None:
            await asyncio.wait({self._turns})
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=FINISH_SECONDS + _NOTE_SECONDS)

    def _started(
        self, place: Place[S], *, dry_run: bool = False, timeout_sec: float | None = None
    ) -> asyncio.Task[Performed[S]]:
        options = RunOptions(place.scope, dry_run, timeout_sec=timeout_sec)
        task = asyncio.create_task(self._performed(place, options))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("run_record_failed", exc_info=error)

    async def _performed(self, place: Place[S], options: RunOptions) -> Performed[S]:
        job, caller = place.job, place.caller
        around = RunContext(
            partial(self._stoppable, place), _tell, place.begins, place.answers,
            partial(self._failures.left_out, caller.org_id), self.share.of(caller.org_id),
        )  # fmt: skip
        with acting_as(caller.in_history):
            done = await perform_within(around, replace(job, work=_on_record(job.work)), self._settings, options)
        if done.code != DONE:
            said = [f"{one.target}: {one.reason}" for one in done.summary.errors]
            log.warning("run_failed", run_id=done.summary.run_id, script=job.name, exit_code=done.code, errors=said)
        return done

    @contextmanager
    def _stoppable(self, place: Place[S], stop: Stop) -> Iterator[None]:
        self._stops.add(stop)
        if self._leaving:
            stop(_LEAVING)
        place.stop = stop
        try:
            yield
        finally:
            self._stops.discard(stop)
            place.stop = None

    def _show(self) -> None:
        metrics.API_REPLAYS.set(self.replays)
        metrics.API_REPLAYS_WAITING.set(len(self._waiting))


def _gave_way(task: asyncio.Task[Performed[ReplaySummary]]) -> bool:
    """Return whether the replay was stopped in favour of another organisation before it had sent everything."""
    if task.cancelled() or task.exception() is not None:
        return False
    done = task.result()
    return isinstance(done.fatal, GaveWay) and done.summary.state is not PlanState.SENT


def _whole(done: Performed[S]) -> Performed[S]:
    if done.fatal is not None:
        raise problem_of(done.fatal, done.summary.run_id)
    return done


_PROBLEMS: Final = (
    # The texts of this error and of the last ones name accounts and hosts, which the client must not see. Only the log
    # and the run's record contain them.
    (errors.RunLocked, Code.ANOTHER_RUN, ""),
    (errors.NoSuchThing, Code.NOTHING_FITS, "{error}"),
    (errors.CanaryFailed, Code.CANARY_FAILED, "{error}"),
    (errors.LimitReached, Code.TOO_MANY_PLANS, "{error}"),
    (errors.InvalidInput, Code.INVALID_REQUEST, "{error}"),
    (errors.RowRejected, Code.INVALID_REQUEST, "Postgres does not accept one of the values (run {run_id})"),
    (TimedOut, Code.QUERY_TIMEOUT, "the time limit is BRIDGE_API_PLAN_TIMEOUT (run {run_id})"),
    (Stopped, Code.SERVICES_AWAY, "{error} (run {run_id})"),
    (errors.SinkUnavailable, Code.SERVICES_AWAY, "run {run_id}"),
    (errors.PreconditionFailed, Code.SERVICES_AWAY, "run {run_id}"),
    (BridgeError, Code.RUN_FAILED, "run {run_id}"),
)


def problem_of(error: BridgeError, run_id: str) -> Problem:
    """Return the problem that answers a request whose run ended with this error."""
    code, detail = next((code, detail) for kind, code, detail in _PROBLEMS if isinstance(error, kind))
    return Problem(code, detail.format(error=error, run_id=run_id))


def _on_record(work: Callable[[Run[S]], Awaitable[None]]) -> Callable[[Run[S]], Awaitable[None]]:
    """Wrap the work of a job, so that an unexpected exception is written to the run's record too.

    In a command, such an exception ends the process with a traceback, so commands don't need this.
    """

    async def recorded(run: Run[S]) -> None:
        try:
            await work(run)
        except BridgeError:
            raise
        except Exception as error:
            log.exception("run_defect", run_id=run.summary.run_id)
            raise errors.InvariantViolation(f"{type(error).__name__}: {error}") from error

    return recorded


def _tell(message: str) -> None:
    log.info("run_progress", detail=message)
