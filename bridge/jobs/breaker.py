"""`bridge breaker release|engage` as jobs, so that the history of runs records who changed the breaker, when and why.

The circuit breaker stops dead-lettering while most events fail.
"""

from collections.abc import Awaitable, Callable

from bridge.jobs.frame import Job
from bridge.jobs.run import Run
from schemas.config.settings import Settings
from schemas.documents.run_summary import BrakeSummary, rfc3339
from schemas.pipeline.breaker import BreakerState
from sinks.postgres.breaker.state import release_breaker, trip_by_operator


def release_job(settings: Settings, seconds: float, reason: str) -> Job[BrakeSummary]:
    """Return the job that bypasses the circuit breaker for `seconds`.

    Workers then dead-letter events although the breaker is tripped.
    """
    return _job(
        "brake-release", settings, reason, lambda: release_breaker(settings.dsn, settings.group, seconds, reason)
    )


def engage_job(settings: Settings, reason: str) -> Job[BrakeSummary]:
    """Return the job that trips the circuit breaker by hand.

    Workers then dead-letter no event until an operator releases the breaker.
    """
    return _job("brake-engage", settings, reason, lambda: trip_by_operator(settings.dsn, settings.group, reason))


def _job(name: str, settings: Settings, reason: str, act: Callable[[], Awaitable[BreakerState]]) -> Job[BrakeSummary]:
    async def work(run: Run[BrakeSummary]) -> None:
        run.summary.reason = reason
        with run.target(f"group:{settings.group}"):
            state = await act()
        run.summary.engaged = state.engaged
        run.summary.released_until = None if state.released_until is None else rfc3339(state.released_until)

    return Job(name, BrakeSummary, work)
