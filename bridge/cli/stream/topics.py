"""`bridge topics apply|check|adopt`: creates and checks the topics that the settings declare, and adopts replaced logs.

A replaced log is a partition whose topic was truncated, recreated or moved.
"""

from typing import Annotated

import typer

from bridge.cli.common import JsonOutput, Verbose, command_settings, given_reason, result, run, say
from bridge.cli.jobs import DryRun, Reason, end_with, show_changes
from bridge.cli.lazy import group
from bridge.jobs.adopt import adopt_job
from bridge.jobs.frame import RunOptions
from sinks.kafka.topics import apply_topics, check_topics

topics_app = group("topics", "Create and check the topics that the settings declare.")


@topics_app.command()
def apply(dry_run: DryRun = False, verbose: Verbose = False) -> None:
    """Create missing topics, add partitions and set configs. The exit code is 2 if a difference needs an operator."""
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
    """Print each difference between Kafka's topics and the settings. The exit code is 0 if there is none, else 1."""
    settings = command_settings(verbose=verbose)
    differences = run(check_topics(settings))
    result(*differences or ["as declared"])
    raise typer.Exit(1 if differences else 0)


@topics_app.command()
def adopt(
    topic: Annotated[str, typer.Argument(metavar="TOPIC")],
    reason: Reason,
    partition: Annotated[int | None, typer.Option(min=0, help="Only this partition's log.")] = None,
    dry_run: DryRun = False,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Accept a log that was truncated, recreated or moved: workers read it from its beginning.

    The offsets and counts of the old log are kept beside those of the new one.
    """
    settings = command_settings(verbose=verbose)
    job = adopt_job(settings, topic, partition, given_reason(reason))
    end_with(job, settings, RunOptions(topic, dry_run, json_output=json_output), show_changes)
