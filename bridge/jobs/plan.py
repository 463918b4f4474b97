"""`bridge dlq plan` as a job: stores a replay plan, which is the exact list of dead letters that a replay will send.

The plan's report forecasts which outcomes the dead letters would have with today's code.
"""

import uuid
from dataclasses import dataclass
from typing import Final

from bridge.jobs.dry_run import DryRun, forecast_plan
from bridge.jobs.frame import Job
from bridge.jobs.run import Run
from schemas.config.service import Service
from schemas.config.settings import Settings
from schemas.documents.dead_letter_filter import DeadLetterFilter
from schemas.documents.replay import Forecast, PlanReport, PlanSummary
from schemas.errors import LimitReached, NoSuchThing
from sinks.postgres.connection import Connection, connection
from sinks.postgres.replay_items.items import keep_passing
from sinks.postgres.replays.plans import Held, complete, find_plan, freeze, held, planning
from streams.rules.correction import Correction

_SETTINGS: Final = {
    "plans": "BRIDGE_API_KEPT_PLANS_PER_ORG",
    "items": "BRIDGE_API_KEPT_PLAN_ITEMS_PER_ORG",
    "bytes": "BRIDGE_API_KEPT_PLAN_BYTES_PER_ORG",
}


@dataclass(frozen=True)
class PlanOptions:
    """Options of a replay plan: filter, correction, reason and largest number of items (dead letters to send again).

    If `passing` is True, the plan omits items that by their forecast would not be persisted. A plan with an `org_id`
    replays no event into another organisation, and only tokens of that organisation see the plan. `most` limits all
    plans of that organisation together: their number, items and bytes.
    """

    chosen: DeadLetterFilter
    correction: Correction
    reason: str
    limit: int | None
    passing: bool
    org_id: int | None = None
    most: Held | None = None


def plan_job(settings: Settings, options: PlanOptions, replay_id: uuid.UUID) -> Job[PlanSummary]:
    """Return the job that creates a replay plan with these options; a dry run of the job stores no plan."""
    name = str(replay_id)

    async def work(run: Run[PlanSummary]) -> None:
        async with planning(settings.dsn, keep=not run.dry_run) as conn:
            most = await _check_limits(run, conn, options, Held(1, 1, 1))
            last = await freeze(
                conn, name, options.chosen, reason=options.reason, corrections=options.correction.operations,
                limit=_least(options.limit, most), org_id=options.org_id,
            )  # fmt: skip
            if not last:
                raise NoSuchThing("no dead letter matches the filter; see `bridge dlq list` with the same options")
            await _check_limits(run, conn, options, Held(0, last, 0))
            dry_run = await DryRun.prepared(
                settings,
                conn,
                options.correction,
                name,
                run.share,
                force=_names_replayed(options),
                org_id=options.org_id,
            )
            report = await forecast_plan(dry_run, name, note=True)
            if options.passing:
                await keep_passing(conn, name)
                _check_some_pass(report)
            await complete(conn, name, report)
            await _check_limits(run, conn, options, Held(0, 0, 0))
            # No change is committed yet. A request that was refused above is not in the history.
            await run.begins()
        _summed(run, name, report)

    return Job("dlq-plan", PlanSummary, work, service=Service.API, quiet=True)


def rehearsal_job(settings: Settings, replay_id: str, *, force: bool) -> Job[PlanSummary]:
    """Return the job that forecasts what `bridge dlq replay` of this plan would do now; the job is always a dry run."""

    async def work(run: Run[PlanSummary]) -> None:
        async with connection(settings.dsn, "replay") as conn:
            plan = await find_plan(conn, replay_id)
            dry_run = await DryRun.of_plan(settings, conn, plan, run.share, force=force)
            report = await forecast_plan(dry_run, plan.replay_id, note=False)
        _summed(run, plan.replay_id, report)

    return Job("dlq-rehearse", PlanSummary, work, service=Service.API)


def _names_replayed(options: PlanOptions) -> bool:
    """Return whether the plan's filter selects dead letters that were replayed already.

    `bridge dlq replay --force` sends such dead letters again. Without `--force` their replay is refused.
    """
    return options.chosen.disposition is None or "replayed" in options.chosen.disposition


async def _check_limits(run: Run[PlanSummary], conn: Connection, options: PlanOptions, more: Held) -> int | None:
    """Raise LimitReached if an organisation's replay plans and `more` exceed one of the organisation's limits.

    Returns one item more than the plan may have, so that a plan with too many is found without all of them being
    stored; None without a limit. A dry run keeps no plan, so the plans that are kept don't count for it.
    """
    if options.org_id is None or options.most is None:
        return None
    now = Held(0, 0, 0) if run.dry_run else await held(conn, options.org_id)
    for what, have, add, most in zip(Held._fields, now, more, options.most, strict=True):
        if have + add > most:
            raise LimitReached(
                f"the plans of organisation {options.org_id} hold {have} {what}; the limit is {most}. Plan fewer dead letters, wait "
                f"until old plans are removed (BRIDGE_REPLAY_KEEP), or ask the operator for a larger {_SETTINGS[what]}"
            )
    return options.most.items - now.items + 1


def _least(*limits: int | None) -> int | None:
    return min((one for one in limits if one is not None), default=None)


def _check_some_pass(report: PlanReport) -> None:
    if not report.by_forecast.get(Forecast.PASSES):
        raise NoSuchThing(f"none of the {report.items} dead letters would pass today; plan them without --passing")


def _summed(run: Run[PlanSummary], replay_id: str, report: PlanReport) -> None:
    run.summary.replay_id = replay_id
    run.summary.report = report
    run.summary.processed_total = report.items
    with run.target(f"replay:{replay_id}"):
        pass
