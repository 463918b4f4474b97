"""`bridge identity show|backfill|require-proof`: attributes events from before the gateway signed its headers.

A proof is the gateway's signature over the headers that name an event's site and sender.
"""

from typing import Annotated

import typer

from bridge.cli.common import JsonOutput, Verbose, command_settings, row_document, run, write_result
from bridge.cli.jobs import DryRun, Reason, end_with, print_failures, show_changes
from bridge.cli.lazy import group
from bridge.jobs.backfill_identity import backfill_job
from bridge.jobs.frame import RunOptions
from bridge.jobs.require_proof import require_proof_job
from bridge.output.tables import print_text
from schemas.documents.run_summary import IdentitySummary, rfc3339
from sinks.postgres.identity.attribution import trust_state

identity_app = group("identity", "Show and complete the attribution of events to sites, by the gateway's proof.")


@identity_app.command()
def show(json_output: JsonOutput = None, verbose: Verbose = False) -> None:
    """Show until when headers without a proof are trusted, the ids of keys, and the rows without a sender class."""
    settings = command_settings(verbose=verbose)
    state = run(trust_state(settings.dsn))
    keys = settings.proof_keys.ids
    if write_result(row_document(state._asdict()) | {"key_ids": keys}, json_output):
        print_text(f"gateway headers without a proof are trusted until {rfc3339(state.legacy_until)}")
        print_text(f"  set by {state.changed_by}; `bridge identity require-proof` ends this trust now")
        print_text(f"keys of valid proofs: {', '.join(keys) or 'none'}; the first key signs")
        print_text(
            f"{state.unattributed} ledger rows have no sender class; `bridge identity backfill` finds their senders"
        )


@identity_app.command()
def backfill(
    limit: Annotated[int | None, typer.Option(min=1, help="Most rows to change; by default all.")] = None,
    dry_run: DryRun = False,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Set the site of ledger rows from before the upgrade by their stored gateway headers, and move their counts.

    Sums don't change, so `bridge audit` balances before, during and after. A second run continues where the first
    ended.
    """
    settings = command_settings(verbose=verbose)
    options = RunOptions("ledger", dry_run, json_output=json_output)
    end_with(backfill_job(settings, limit), settings, options, _print)


@identity_app.command(name="require-proof")
def require_proof(reason: Reason, json_output: JsonOutput = None, verbose: Verbose = False) -> None:
    """Trust no gateway header without a proof from now on.

    Run this when no gateway and no worker of the previous release runs any more.
    """
    settings = command_settings(verbose=verbose)
    job = require_proof_job(settings, reason)
    end_with(job, settings, RunOptions("gateway-trust", json_output=json_output), show_changes)


def _print(summary: IdentitySummary) -> None:
    print_failures(summary)
    would = "would be " if summary.dry_run else ""
    print_text(f"{summary.processed_total} rows read; {summary.changed_total} of them {would}given another site")
    for site, count in sorted(summary.changed_by_site.items()):
        print_text(f"  site {site}: {count}")
    print_text(f"{summary.windows_moved_total} counts of gate windows {would}moved; their sums don't change")
    if summary.windows_missing_total:
        print_text(f"  {summary.windows_missing_total} counts not moved: no window contains them")
    if summary.unknown_key_total:
        print_text(f"  {summary.unknown_key_total} rows not changed: the key of their proof is not in the settings")
