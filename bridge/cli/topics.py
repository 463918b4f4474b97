"""`bridge topics apply|check`: makes and compares the topics that the settings declare."""

from typing import Annotated

import typer

from bridge.cli.common import Verbose, command_settings, result, run, say
from sinks.topics_admin import apply_topics, check_topics

topics_app = typer.Typer(name="topics", help="Kafka's topics as the settings declare them.", no_args_is_help=True)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")]


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
def check(dry_run: DryRun = False, verbose: Verbose = False) -> None:  # noqa: ARG001  # a check never writes anyway
    """Name each difference; the exit code is 0 if there is none, else 1."""
    settings = command_settings(verbose=verbose)
    differences = run(check_topics(settings))
    for line in differences:
        result(line)
    if not differences:
        result("as declared")
    raise typer.Exit(1 if differences else 0)
