"""`bridge retention plan|apply|run|list`: removes old rows by a reviewed plan, and accounts for each of them."""

from typing import Annotated

import typer

from bridge.cli.common import JsonOutput, Verbose, command_settings, row_document, run, write_result
from bridge.cli.jobs import DryRun, TimeoutSec, end_with_result
from bridge.cli.lazy import group
from bridge.jobs.frame import RunOptions
from bridge.output.tables import Table, print_table, print_text, right
from bridge.retention.jobs import apply_job, plan_job, run_job
from schemas.documents.run_summary import RetentionSummary
from sinks.postgres.retention.plans import list_plans

retention_app = group("retention", "Remove old rows by a reviewed plan; the audit balances afterwards.")

_SCOPE = "retention"


@retention_app.command()
def plan(dry_run: DryRun = False, json_output: JsonOutput = None, verbose: Verbose = False) -> None:
    """Count what the settings BRIDGE_KEEP_* would remove now, and store this as a plan. Nothing is removed.

    `bridge retention apply` with the plan's id removes it. Rows that can be removed only later wait for the next plan.
    """
    settings = command_settings(verbose=verbose)
    end_with_result(plan_job(settings), settings, RunOptions(_SCOPE, dry_run, json_output=json_output), _print_plan)


@retention_app.command()
def apply(
    plan_id: Annotated[
        str,
        typer.Argument(metavar="PLAN_ID", help="The plan's id or its beginning, as `bridge retention plan` prints it."),
    ],
    dry_run: DryRun = False,
    timeout_sec: TimeoutSec = None,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Remove the rows of a plan, in small batches, and write closing entries that account for each row.

    It waits while workers are behind. It can be stopped and killed at any time: the same command continues.
    """
    settings = command_settings(verbose=verbose)
    options = RunOptions(_SCOPE, dry_run, timeout_sec=timeout_sec, json_output=json_output)
    end_with_result(apply_job(settings, plan_id), settings, options, _print_applied, partial=True)


@retention_app.command(name="run")
def run_(
    dry_run: DryRun = False,
    timeout_sec: TimeoutSec = None,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Make a plan and apply it, for a schedule. The settings must be those of the plan that was applied last.

    So the first plan, and the first one after a change of the settings, is applied by its id.
    """
    settings = command_settings(verbose=verbose)
    options = RunOptions(_SCOPE, dry_run, timeout_sec=timeout_sec, json_output=json_output)
    end_with_result(run_job(settings), settings, options, _print_applied, partial=True)


@retention_app.command(name="list")
def list_(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most plans to show.")] = 20,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """List the newest plans: when they were made and applied, and how many rows they remove."""
    settings = command_settings(verbose=verbose)
    found = run(list_plans(settings.dsn, limit))
    if write_result([row_document(dict(one)) for one in found], json_output):
        table = Table("plan", "made", "by", *right("rows", "removed"), "applied")
        for one in found:
            table.add_row(
                *(one[name] for name in ("plan_id", "created_at", "created_by", "rows", "rows_removed", "applied_at"))
            )
        print_table(table)


def _print_plan(summary: RetentionSummary) -> None:
    table = Table("what", "kept for", "removed: before", *right("rows", "bytes"))
    for one in summary.steps:
        table.add_row(one.kind, one.keep, one.before, one.rows, one.bytes)
    print_table(table)
    if summary.unset:
        print_text(f"kept without a limit: {', '.join(summary.unset)} not set")
    if summary.plan_id is None:
        print_text("dry run: no plan was stored, nothing was removed")
    else:
        print_text(f"nothing was removed; to remove these rows: bridge retention apply {summary.plan_id}")


def _print_applied(summary: RetentionSummary) -> None:
    for warning in summary.warnings:
        print_text(f"warning: {warning}")
    table = Table("what", "before", *right("planned", "removed", "bytes"), "complete")
    for one in summary.steps:
        table.add_row(one.kind, one.before, one.rows, one.rows_removed, one.bytes_removed, "yes" if one.ended else "no")
    if summary.steps:
        print_table(table)
    print_text(f"{summary.processed_total} rows removed by this run")
