"""`bridge identity require-proof` as a job: workers stop trusting gateway headers without a proof.

A proof is the gateway's signature over the headers that name an event's site and sender.
"""

from bridge.jobs.frame import Job
from bridge.jobs.run import Run
from schemas.config.settings import Settings
from schemas.documents.run_summary import OffsetsSummary
from sinks.postgres.identity.attribution import end_legacy


def require_proof_job(settings: Settings, reason: str) -> Job[OffsetsSummary]:
    """Return the job that ends the trust in unsigned gateway headers.

    Workers apply the change when they reload the registry of scripts, within BRIDGE_REGISTRY_REFRESH.
    """

    async def work(run: Run[OffsetsSummary]) -> None:
        run.summary.reason = reason
        with run.target("gateway-trust"):
            ended = await end_legacy(settings.dsn, run.summary.run_id)
            what = "are trusted no longer" if ended else "were not trusted before"
            run.summary.changes.append(f"gateway headers without a proof {what}")

    return Job("identity-require-proof", OffsetsSummary, work)
