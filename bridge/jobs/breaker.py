"""`bridge breaker release|engage` as jobs, so that the history tells who did it, when and why."""

from collections.abc import Awaitable, Callable

from bridge.jobs.frame import Job
from bridge.jobs.run import Run
from schemas.config.settings import Settings
from schemas.documents.run_summary import BrakeSummary, rfc3339
from schemas.pipeline.breaker import BreakerState
from sinks.postgres.breaker.state import engage_by_hand, release_brake


def release_job(settings: Settings, seconds: float, reason: str) -> Job[BrakeSummary]:
    """Lets dead letters pass for so long."""
    return _job("brake-release", settings, reason, lambda: release_brake(settings.dsn, settings.group, seconds, reason))


def engage_job(settings: Settings, reason: str) -> Job[BrakeSummary]:
    """Holds every would-be dead letter until somebody releases the brake."""
    return _job("brake-engage", settings, reason, lambda: engage_by_hand(settings.dsn, settings.group, reason))


def _job(name: str, settings: Settings, reason: str, act: Callable[[], Awaitable[BreakerState]]) -> Job[BrakeSummary]:
    async def work(run: Run[BrakeSummary]) -> None:
        run.summary.reason = reason
        with run.target(f"group:{settings.group}"):
            state = await act()
        run.summary.engaged = state.engaged
        run.summary.released_until = None if state.released_until is None else rfc3339(state.released_until)

    return Job(name, BrakeSummary, work)
