"""Jobs that the service runs: short ones that a request waits for, and replays that go on behind it, a bounded number."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import structlog

from bridge.api.access import Caller
from bridge.http.problems import Code, Problem
from bridge.runs.frame import DONE, Job, Performed, RunOptions, S, Stop, Stopped, Surroundings, perform_within
from bridge.runs.replay import FINISH_SECONDS
from bridge.runs.run import Run
from schemas.errors import (
    AnotherRun,
    BridgeError,
    Defect,
    EnvironmentUnfit,
    InvalidInput,
    NoSuchThing,
    RowRejected,
    SinkUnavailable,
)
from schemas.settings import Settings
from sinks import metrics
from sinks.runs import acting_as

_LEAVING: Final = "the end of the service"
_NOT_WAITING: Final = {"start_timeout": "2s", "startup_without_postgres": False, "startup_without_kafka": False}
# After the batch in hand: to write down how it ended.
_NOTE_SECONDS: Final = 10.0

log = structlog.get_logger(__name__)


class Runs:
    """The jobs in hand. Whoever asked may go away: they go on, and their end stands in the history of runs."""

    def __init__(self, settings: Settings, most_replays: int, most_of_one_org: int) -> None:
        # A command waits for services that are away; who asks over HTTP is told of them.
        self._settings = settings.model_copy(update=_NOT_WAITING)
        self._most_replays = most_replays
        self._most_of_one_org = most_of_one_org
        self._replays_of: Counter[int | None] = Counter()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._stops: set[Stop] = set()
        self._leaving = False

    @property
    def replays(self) -> int:
        """How many replays are in hand."""
        return self._replays_of.total()

    async def finish(self, job: Job[S], caller: Caller, scope: str, *, dry_run: bool = False) -> Performed[S]:
        """Runs the job to its end; raises Problem if something ended it before its work was done."""
        options = RunOptions(scope, dry_run)
        done = await asyncio.shield(self._started(self._performed(job, caller, options, lambda _run_id: None)))
        if done.fatal is not None:
            raise problem_of(done.fatal, done.summary.run_id)
        return done

    async def begin_replay(self, job: Job[S], caller: Caller, scope: str) -> str:
        """The id of the run, which holds its lock and goes on; raises Problem if it could not begin."""
        self._check_room(caller)
        begun: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._count(caller, 1)
        task = self._started(self._performed(job, caller, RunOptions(scope), _tell_once(begun)))
        task.add_done_callback(lambda _task: self._count(caller, -1))
        both: set[asyncio.Future[Any]] = {task, begun}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if begun.done():
            return begun.result()
        done = task.result()
        raise problem_of(done.fatal or BridgeError("it did not begin"), done.summary.run_id)

    def _check_room(self, caller: Caller) -> None:
        """Raises Problem if as many are in hand as may be: in all, of the caller's organisation, or of all organisations.

        All organisations together leave one place to those of none, and one that has a place leaves one to those that have none.
        """
        if caller.org_id is not None:
            own = self._replays_of[caller.org_id]
            if own >= self._most_of_one_org:
                raise Problem(
                    Code.TOO_MANY_RUNS,
                    f"{own} replays of organisation {caller.org_id} are in hand; wait for one, or cancel it",
                )
            of_all = self.replays - self._replays_of[None]
            if of_all + bool(own) >= max(1, self._most_replays - 1):
                raise Problem(
                    Code.TOO_MANY_RUNS, f"{of_all} replays of organisations are in hand; try again when one has ended"
                )
        if self.replays >= self._most_replays:
            raise Problem(Code.TOO_MANY_RUNS, f"{self.replays} replays are in hand; wait for one, or cancel it")

    def leave(self) -> None:
        """Tells all that is in hand to end; nothing begins any more."""
        self._leaving = True
        for stop in list(self._stops):
            stop(_LEAVING)

    async def ended(self) -> None:
        """Waits until all that was in hand has noted how it ended."""
        self.leave()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=FINISH_SECONDS + _NOTE_SECONDS)

    def _started(self, work: Coroutine[Any, Any, Performed[S]]) -> asyncio.Task[Performed[S]]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("run_not_recorded", exc_info=error)

    async def _performed(
        self, job: Job[S], caller: Caller, options: RunOptions, begun: Callable[[str], None]
    ) -> Performed[S]:
        around = Surroundings(self._stoppable, _tell, begun, answers=True)
        with acting_as(caller.in_history):
            done = await perform_within(around, replace(job, work=_on_record(job.work)), self._settings, options)
        if done.code != DONE:
            errors = [f"{one.target}: {one.reason}" for one in done.summary.errors]
            log.warning("run_failed", run_id=done.summary.run_id, script=job.name, exit_code=done.code, errors=errors)
        return done

    @contextmanager
    def _stoppable(self, stop: Stop) -> Iterator[None]:
        self._stops.add(stop)
        if self._leaving:
            stop(_LEAVING)
        try:
            yield
        finally:
            self._stops.discard(stop)

    def _count(self, caller: Caller, change: int) -> None:
        self._replays_of[caller.org_id] += change
        metrics.API_REPLAYS.set(self.replays)


def problem_of(error: BridgeError, run_id: str) -> Problem:
    """What a request is told of an error that ended its run."""
    match error:
        case AnotherRun():
            return Problem(Code.ANOTHER_RUN, str(error))
        case NoSuchThing():
            return Problem(Code.NOTHING_FITS, str(error))
        case InvalidInput():
            return Problem(Code.INVALID_REQUEST, str(error))
        case RowRejected():
            return Problem(Code.INVALID_REQUEST, f"Postgres can't take one of the values (run {run_id})")
        case Stopped():
            return Problem(Code.SERVICES_AWAY, f"{error} (run {run_id})")
        case SinkUnavailable() | EnvironmentUnfit():
            # Their text names hosts and accounts: it is in the log and on the run's record.
            return Problem(Code.SERVICES_AWAY, f"run {run_id}")
        case _:
            return Problem(Code.RUN_FAILED, f"run {run_id}")


def _on_record(work: Callable[[Run[S]], Awaitable[None]]) -> Callable[[Run[S]], Awaitable[None]]:
    """Work whose own defects are on the record of its run too; a command would end by them, with a traceback."""

    async def recorded(run: Run[S]) -> None:
        try:
            await work(run)
        except BridgeError:
            raise
        except Exception as error:
            log.exception("run_defect", run_id=run.summary.run_id)
            raise Defect(f"{type(error).__name__}: {error}") from error

    return recorded


def _tell(message: str) -> None:
    log.info("run_progress", detail=message)


def _tell_once(begun: "asyncio.Future[str]") -> Callable[[str], None]:
    def tell(run_id: str) -> None:
        if not begun.done():
            begun.set_result(run_id)

    return tell
