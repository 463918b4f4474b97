"""`bridge topics apply|check|adopt`: creates and compares the topics of the settings, and adopts replaced logs."""

from typing import Annotated

import typer

from bridge.cli.common import JsonOutput, Verbose, command_settings, given_reason, result, run, say
from bridge.cli.stream.offsets import DryRun, Reason, show_changes
from bridge.jobs.adopt import adopt_job
from bridge.jobs.frame import RunOptions, perform
from sinks.kafka.topics import apply_topics, check_topics

topics_app = typer.Typer(name="topics", help="Kafka's topics as the settings declare them.", no_args_is_help=True)


@topics_app.command()
def apply(dry_run: DryRun = False, verbose: Verbose = False) -> None:
    """Create what is missing, add partitions and set configs; exit code 2 if something is left to do by hand."""
    settings = command_settings(verbose=verbose)
    applied = run(apply_topics(settings, dry_run=dry_run))
    for line in applied.done:
        result(f"{'would correct' if dry_run else 'corrected'}: {line}")
    for line in applied.left:
        say(f"left: {line}")
    if not applied.done and not applied.left:
        result("up to date")
    raise typer.Exit(2 if applied.left else 0)


@topics_app.command()
def check(
    _dry_run: Annotated[bool, typer.Option("--dry-run", hidden=True)] = False,  # schedulers give it to every verb
    verbose: Verbose = False,
) -> None:
    """Name each difference; the exit code is 0 if there is none, else 1."""
    settings = command_settings(verbose=verbose)
    differences = run(check_topics(settings))
    for line in differences:
        result(line)
    if not differences:
        result("as declared")
    raise typer.Exit(1 if differences else 0)


@topics_app.command()
def adopt(
    topic: Annotated[str, typer.Argument(metavar="TOPIC")],
    reason: Reason,
    partition: Annotated[int | None, typer.Option("--partition", min=0, help="Only this partition.")] = None,
    dry_run: DryRun = False,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Read a log that was truncated, recreated or moved from its beginning, beside what was read of the old one."""
    settings = command_settings(verbose=verbose)
    job = adopt_job(settings, topic, partition, given_reason(reason))
    summary, code = run(perform(job, settings, RunOptions(topic, dry_run, json_output=json_output)))
    if json_output != "-":
        show_changes(summary)
    raise typer.Exit(code)
