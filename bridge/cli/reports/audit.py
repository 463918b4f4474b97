"""`bridge audit`: accounts for every raw event, from Kafka's offsets and Postgres' rows."""

from typing import Annotated

import typer

from bridge.cli.common import JsonOutput, Verbose, command_settings, partition, run, say, write_result
from bridge.output.tables import Table, on_terminal, print_left_out, print_table, print_text, right
from schemas.documents.afterwards import in_words
from schemas.documents.audit_report import AuditReport
from sinks.postgres.audit.snapshot import acknowledge_lost as acknowledge
from streams.audit import audit as audit_now


def audit(
    deep: Annotated[
        bool,
        typer.Option(
            "--deep/--quick", help="--deep counts the rows of all tables; --quick only compares the running totals."
        ),
    ] = True,
    acknowledge_lost: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TOPIC:PARTITION",
            help="Before the audit, record that the loss of this partition's records is known. Repeatable.",
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="On a terminal, show empty partitions that balance too.")
    ] = False,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Account for every offset of the raw topic; the exit code is 0 if all partitions balance, else 1.

    A partition balances if each of its offsets is persisted, dropped, waiting for a retry, or explained as a gap, a
    skip or a loss.
    """
    settings = command_settings(verbose=verbose)
    for source in [partition(text, "--acknowledge-lost") for text in acknowledge_lost or ()]:
        say(f"{source.topic}-{source.partition}: {run(acknowledge(settings, source))} lost records acknowledged")
    report = run(audit_now(settings, deep=deep))
    if write_result(report.model_dump(mode="json"), json_output):
        show(report, everything=everything or not on_terminal())
    raise typer.Exit(0 if report.balanced else 1)


def show(report: AuditReport, *, everything: bool = True) -> None:
    """Print the report for people, on standard output.

    Without `everything`, empty partitions that balance are left out.
    """
    columns = ("read", "persisted", "dropped", "waiting", "live", "stale", "skipped", "lost", "unread")
    table = Table("partition", *right(*columns, "balanced"))
    rows = [(one, [getattr(one, name) for name in columns]) for one in report.partitions]
    shown = [(one, figures) for one, figures in rows if everything or not one.balanced or any(figures)]
    for one, figures in shown:
        table.add_row(f"{one.topic}-{one.partition}", *figures, "yes" if one.balanced else "NO")
    if shown:
        print_table(table)
    print_left_out(len(rows) - len(shown), "empty partitions that balance are")
    totals = report.totals
    waiting = "" if totals.waiting is None else f", {totals.waiting} waiting"
    replays = f", {totals.replays} of these replays" if totals.replays else ""
    print_text(
        f"{totals.read} read{replays}: {totals.persisted} persisted, {totals.dropped} dropped{waiting}, "
        f"{totals.lost} lost; {totals.unread} unread"
    )
    if totals.dropped and totals.dropped_became is not None:
        print_text(f"of the {totals.dropped} dropped: {in_words(totals.dropped_became)}")
    if totals.removals:
        print_text(
            f"{totals.removed} of these records were removed; {totals.removals} closing entries account for them"
        )
    for problem in report.problems:
        print_text(f"problem: {problem}")
    print_text("balanced" if report.balanced else f"NOT balanced: {len(report.problems)} problems")
