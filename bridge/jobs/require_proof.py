"""`bridge identity require-proof` as a job: gateway headers without a proof are no longer trusted."""

from bridge.jobs.frame import Job
from bridge.jobs.run import Run
from schemas.config.settings import Settings
from schemas.documents.run_summary import OffsetsSummary
from sinks.postgres.identity.attribution import end_legacy


def require_proof_job(settings: Settings, reason: str) -> Job[OffsetsSummary]:
    """Return the job; workers apply it when they reload the registry, within BRIDGE_REGISTRY_REFRESH."""

    async def work(run: Run[OffsetsSummary]) -> None:
        run.summary.reason = reason
        with run.target("gateway-trust"):
            ended = await end_legacy(settings.dsn, run.summary.run_id)
            what = "are believed no longer" if ended else "were not believed before"
            run.summary.changes.append(f"gateway headers without a proof {what}")

    return Job("identity-require-proof", OffsetsSummary, work)
