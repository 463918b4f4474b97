"""`bridge pause start|end` as jobs, so that the history of runs records who paused what, when and why."""

from collections.abc import Awaitable, Callable

from bridge.jobs.frame import Job
from bridge.jobs.run import Run
from schemas.config.settings import Settings
from schemas.documents.run_summary import PauseSummary
from schemas.errors import InvalidInput
from schemas.pipeline.pause import PauseKind
from schemas.pipeline.record import TopicPartition
from sinks.kafka.admin import log_bounds
from sinks.postgres.registry.pauses import demand_target, end_pause, start_pause


def start_job(settings: Settings, kind: PauseKind, target: str, reason: str) -> Job[PauseSummary]:
    """Return the job that pauses a script, site, organisation or partition until the job of `end_job` runs."""

    async def check() -> None:
        if kind is not PauseKind.PARTITION:
            await demand_target(settings.dsn, kind, target)
            return
        topic, _, number = target.rpartition(":")
        if TopicPartition(topic, int(number)) not in await log_bounds(settings, [topic]):
            raise InvalidInput(f"Kafka has no {target}; see `bridge offsets show`")

    return _job("pause-start", kind, target, reason, lambda: start_pause(settings.dsn, kind, target, reason), check)


def end_job(settings: Settings, kind: PauseKind, target: str, reason: str) -> Job[PauseSummary]:
    """Return the job that ends the pause of a script, site, organisation or partition."""
    return _job("pause-end", kind, target, reason, lambda: end_pause(settings.dsn, kind, target, reason))


async def _any_target() -> None:
    """Check nothing: a pause can be ended even if the script or site that it pauses no longer exists."""


def _job(
    name: str,
    kind: PauseKind,
    target: str,
    reason: str,
    act: Callable[[], Awaitable[bool]],
    check: Callable[[], Awaitable[None]] = _any_target,
) -> Job[PauseSummary]:
    async def work(run: Run[PauseSummary]) -> None:
        summary = run.summary
        summary.kind, summary.pause_target, summary.reason = kind.value, target, reason
        await check()
        await run.begins()
        with run.target(f"{kind.value}:{target}"):
            summary.changed = await act()

    return Job(name, PauseSummary, work, quiet=True)
