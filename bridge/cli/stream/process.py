"""`bridge process`: one run over pending events, judged by the gate; for schedulers.

The gate is the rule that fails a run with too many dropped or retried events.
"""

from decimal import Decimal
from typing import Annotated

import typer

from bridge.cli.common import Verbose, asked_org_ids, command_settings
from bridge.cli.jobs import TimeoutSec, end_with, print_failures
from bridge.cli.unfit import SUMMARY_FILE
from bridge.jobs.frame import RunOptions
from bridge.jobs.process import ProcessOptions, process_job
from bridge.output.tables import print_text
from schemas.documents.gate import RunLimits
from schemas.documents.run_summary import ProcessSummary
from schemas.pipeline.ledger import Scope


def process(
    site_id: Annotated[int | None, typer.Option(min=1, help="Only this site's waiting retries.")] = None,
    org_id: Annotated[int | None, typer.Option(min=1, help="Only this organisation's waiting retries.")] = None,
    org_ids: Annotated[
        str | None, typer.Option(metavar="A,B", help="Only these organisations' waiting retries.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Most events in a round [BRIDGE_WORKER_DEFAULT_LIMIT].")
    ] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Most rounds [BRIDGE_WORKER_DEFAULT_ROUNDS].")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Report what the run would do, and write nothing.")
    ] = False,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first target that fails.")] = False,
    timeout_sec: TimeoutSec = None,
    max_dropped_total: Annotated[
        int | None,
        typer.Option(min=0, help="Fail above this number of dropped events [BRIDGE_WORKER_MAX_DROPPED_TOTAL]."),
    ] = None,
    max_retry_ratio_pct: Annotated[
        str | None,
        typer.Option(help="Fail above this percentage of retried events [BRIDGE_WORKER_MAX_RETRY_RATIO_PCT]."),
    ] = None,
    json_output: Annotated[
        str, typer.Option(metavar="PATH", help="File of the summary; - is standard output.")
    ] = SUMMARY_FILE,
    verbose: Verbose = False,
) -> None:
    """Process pending events once: due retries, and raw records that no worker reads.

    The exit code is 0 if everything succeeded, 1 if the gate failed, 2 if some targets failed, and 3 if the run could
    not begin.
    """
    settings = command_settings(
        verbose=verbose,
        guarded=True,
        worker_default_limit=limit,
        worker_default_rounds=rounds,
        worker_max_dropped_total=max_dropped_total,
        worker_max_retry_ratio_pct=max_retry_ratio_pct,
    )
    scope = Scope(None if site_id is None else (site_id,), asked_org_ids(org_id, org_ids))
    limits = RunLimits(settings.worker_max_dropped_total, Decimal(settings.worker_max_retry_ratio_pct))
    options = ProcessOptions(scope, settings.worker_default_limit, settings.worker_default_rounds, limits)
    asked = RunOptions(_name(scope), dry_run, fail_fast, timeout_sec, json_output)
    end_with(process_job(settings, options), settings, asked, show)


def _name(scope: Scope) -> str:
    parts = [f"site:{one}" for one in scope.site_ids or ()] + [f"org:{one}" for one in scope.org_ids or ()]
    return "+".join(parts) or "all"


def show(summary: ProcessSummary) -> None:
    """Print the summary for people, on standard output."""
    would = "would be " if summary.dry_run else ""
    print_text(
        f"{summary.run_id}: {summary.processed_total} processed: {summary.normalized_total} {would}normalized, "
        f"{summary.retried_total} {would}retried, {summary.dropped_total} {would}dropped; "
        f"{summary.succeeded_total} of {summary.targets_total} targets succeeded"
    )
    for reason, count in sorted(summary.dropped_by_reason.items()):
        print_text(f"dropped: {reason} {count}")
    for warning in summary.warnings:
        print_text(f"warning: {warning}")
    print_failures(summary)
    if summary.gate is None:
        print_text("gate: not judged")
        return
    for reason in summary.gate.reasons:
        print_text(f"gate: {reason}")
    print_text("gate: pass" if summary.gate.passed else "gate: FAIL")
