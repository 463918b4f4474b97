"""`bridge pause start|end` as jobs, so that the history of runs records who paused what, when and why."""

from functools import partial
from typing import Final

from bridge.jobs.frame import Job
from bridge.jobs.run import Run
from schemas.config.settings import Settings
from schemas.documents.run_summary import PauseSummary
from schemas.errors import InvalidInput
from schemas.pipeline.pause import PauseKind
from schemas.pipeline.record import TopicPartition
from sinks.kafka.admin import log_bounds
from sinks.postgres.registry.pauses import demand_target, end_pause, start_pause


def _job(settings: Settings, kind: PauseKind, target: str, reason: str, *, start: bool) -> Job[PauseSummary]:
    async def work(run: Run[PauseSummary]) -> None:
        summary = run.summary
        summary.kind, summary.pause_target, summary.reason = kind.value, target, reason
        # A pause can be ended even if the script or site that it pauses no longer exists.
        if start:
            await _demand(settings, kind, target)
        await run.begins()
        with run.target(f"{kind.value}:{target}"):
            change = start_pause if start else end_pause
            summary.changed = await change(settings.dsn, kind, target, reason)

    if start:
        return Job("pause-start", PauseSummary, work, quiet=True)
    return Job("pause-end", PauseSummary, work, quiet=True)


async def _demand(settings: Settings, kind: PauseKind, target: str) -> None:
    """Raise InvalidInput unless this script, site or organisation is registered, or Kafka has this partition."""
    if kind is not PauseKind.PARTITION:
        await demand_target(settings.dsn, kind, target)
        return
    topic, _, number = target.rpartition(":")
    if TopicPartition(topic, int(number)) not in await log_bounds(settings, [topic]):
        raise InvalidInput(f"Kafka has no {target}; see `bridge offsets show`")


start_job: Final = partial(_job, start=True)
"""Returns the job that pauses a script, site, organisation or partition until the job of `end_job` runs."""

end_job: Final = partial(_job, start=False)
"""Returns the job that ends the pause of a script, site, organisation or partition."""
