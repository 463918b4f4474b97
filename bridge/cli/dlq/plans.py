"""`bridge dlq plans|status`: the stored plans, their progress, and the outcomes of their items."""

import json
from typing import Annotated

import typer

from bridge.cli.common import JsonOutput, Verbose, command_settings, run, write_result
from bridge.cli.dlq.replays import PlanId, print_outcomes
from bridge.dead_letters.documents import status_document
from bridge.jobs.cancel import lock_of
from bridge.output.tables import Table, print_pairs, print_table, print_text
from schemas.config.settings import Settings
from schemas.documents.replay import Outcome, Plan, PlanState
from schemas.documents.run_summary import rfc3339
from sinks.postgres.connection import connection
from sinks.postgres.replays.plans import Became, find_plan, list_plans, outcomes, summed
from sinks.postgres.runs.history import is_locked


def plans(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most plans to show.")] = 20,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """List the newest plans; `bridge dlq status` shows a whole plan."""
    settings = command_settings(verbose=verbose)
    found = run(list_plans(settings.dsn, limit))
    if write_result([one._asdict() for one in found], json_output):
        table = Table("plan", "made", "by", "state", "items", "sent", "corrected", "reason")
        for one in found:
            counts = (one.planned, one.published, "yes" if one.corrected else "")
            table.add_row(one.replay_id, one.created_at, one.requested_by, one.state, *counts, one.reason)
        print_table(table)


def status(plan_id: PlanId, json_output: JsonOutput = None, verbose: Verbose = False) -> None:
    """Show one plan: its dead letters, its progress, and the outcomes of what it has sent."""
    settings = command_settings(verbose=verbose)
    found, became, running = run(_looked(settings, plan_id))
    counts = summed(became)
    if not write_result(status_document(found, became, running=running), json_output):
        return
    state = found.state.value
    if found.state is PlanState.RUNNING and not running:
        state = "stopped: its run was killed; repeat the `bridge dlq replay` command to continue"
    print_text(f"plan {found.replay_id}: {state}")
    rows = {
        "made": f"{rfc3339(found.created_at)} by {found.requested_by}",
        "why": found.reason,
        "filter": json.dumps(found.filter, ensure_ascii=False),
        "corrections": json.dumps(found.corrections, ensure_ascii=False) if found.corrections else "",
        "ended": f"by {found.ended_by}: {found.ended_because}" if found.ended_because else "",
        "sent": f"{found.published} of {found.planned}",
    }
    print_pairs(rows)
    print_outcomes(counts, summed(became, Outcome.DROPPED), summed(became, Outcome.SKIPPED))


async def _looked(settings: Settings, plan_id: str) -> tuple[Plan, list[Became], bool]:
    async with connection(settings.dsn, "replay") as conn:
        found = await find_plan(conn, plan_id)
        became = await outcomes(conn, found.replay_id)
        return found, became, await is_locked(conn, lock_of(found.replay_id))
