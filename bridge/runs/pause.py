"""`bridge pause start|end` as jobs, recorded in the history of runs with who, when and why."""

from collections.abc import Awaitable, Callable

from bridge.runs.frame import Job
from bridge.runs.run import Run
from schemas.errors import InvalidInput
from schemas.pause import PauseKind
from schemas.record import TopicPartition
from schemas.run_summary import PauseSummary
from schemas.settings import Settings
from sinks.kafka_admin import log_bounds
from sinks.pauses import end_pause, start_pause


def start_job(settings: Settings, kind: PauseKind, target: str, reason: str) -> Job[PauseSummary]:
    """Pauses the target until `end_job`."""

    async def act() -> bool:
        if kind is PauseKind.PARTITION:
            topic, _, number = target.rpartition(":")
            if TopicPartition(topic, int(number)) not in await log_bounds(settings, [topic]):
                raise InvalidInput(f"Kafka has no {target}; see `bridge offsets show`")
        return await start_pause(settings.dsn, kind, target, reason)

    return _job("pause-start", kind, target, reason, act)


def end_job(settings: Settings, kind: PauseKind, target: str, reason: str) -> Job[PauseSummary]:
    """Ends the target's pause."""
    return _job("pause-end", kind, target, reason, lambda: end_pause(settings.dsn, kind, target))


def _job(name: str, kind: PauseKind, target: str, reason: str, act: Callable[[], Awaitable[bool]]) -> Job[PauseSummary]:
    async def work(run: Run[PauseSummary]) -> None:
        summary = run.summary
        summary.kind, summary.pause_target, summary.reason = kind.value, target, reason
        with run.target(f"{kind.value}:{target}"):
            summary.changed = await act()

    return Job(name, PauseSummary, work)
