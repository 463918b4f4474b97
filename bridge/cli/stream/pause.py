"""`bridge pause start|end|list`: pauses one partition, script, site or organisation, and nothing else."""

from collections.abc import Callable
from typing import Annotated

import typer

from bridge.cli.common import (
    JsonOutput,
    Verbose,
    command_settings,
    given_reason,
    partition,
    row_document,
    run,
    write_result,
)
from bridge.cli.jobs import Reason, end_with_result
from bridge.cli.lazy import group
from bridge.jobs.frame import RunOptions
from bridge.jobs.pause import end_job, start_job
from bridge.output.tables import Table, print_table, print_text
from schemas.config.settings import Settings
from schemas.documents.run_summary import PauseSummary
from schemas.errors import InvalidInput
from schemas.pipeline.pause import PauseKind
from sinks.postgres.registry.pauses import list_pauses

pause_app = group("pause", "Pause one partition, script, site or organisation.")

Source = Annotated[
    str | None,
    typer.Option(
        "--partition",
        metavar="NUMBER",
        help="A partition of the raw topic: its number, or its name in `bridge pause list`.",
    ),
]
Script = Annotated[str | None, typer.Option("--script", metavar="ID", help="A script.")]
Site = Annotated[int | None, typer.Option("--site", min=1, metavar="ID", help="All scripts of a site.")]
Org = Annotated[int | None, typer.Option("--org", min=1, metavar="ID", help="All scripts of an organisation.")]


@pause_app.command()
def start(
    reason: Reason,
    source: Source = None,
    script: Script = None,
    site: Site = None,
    org: Org = None,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Pause a partition, or the events of a script, site or organisation, until `bridge pause end`."""
    settings = command_settings(verbose=verbose)
    kind, target = _asked(settings, source, script, site, org)
    job = start_job(settings, kind, target, given_reason(reason))
    end_with_result(job, settings, RunOptions(json_output=json_output), _says("paused", "is paused already"))


@pause_app.command()
def end(
    reason: Reason,
    source: Source = None,
    script: Script = None,
    site: Site = None,
    org: Org = None,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """End a pause. The events that waited are processed; none was lost."""
    settings = command_settings(verbose=verbose)
    kind, target = _asked(settings, source, script, site, org)
    job = end_job(settings, kind, target, given_reason(reason))
    end_with_result(job, settings, RunOptions(json_output=json_output), _says("resumed", "is not paused"))


@pause_app.command(name="list")
def list_(json_output: JsonOutput = None, verbose: Verbose = False) -> None:
    """List the pauses: target, time, account and reason."""
    settings = command_settings(verbose=verbose)
    found = run(list_pauses(settings.dsn))
    if write_result([row_document(one._asdict()) for one in found], json_output):
        table = Table("kind", "target", "since", "by", "why")
        for one in found:
            table.add_row(one.kind, one.target, one.paused_at, one.paused_by, one.reason)
        print_table(table)


def _asked(
    settings: Settings, source: str | None, script: str | None, site: int | None, org: int | None
) -> tuple[PauseKind, str]:
    given = {
        PauseKind.PARTITION: None if source is None else _partition(settings.topics.raw, source),
        PauseKind.SCRIPT: script,
        PauseKind.SITE: None if site is None else str(site),
        PauseKind.ORG: None if org is None else str(org),
    }
    asked = [(kind, target) for kind, target in given.items() if target is not None]
    if len(asked) != 1:
        raise InvalidInput(
            "the target is missing or ambiguous; give exactly one of --partition, --script, --site and --org"
        )
    return asked[0]


def _partition(raw: str, text: str) -> str:
    found = partition(text if ":" in text or "-" in text else f"{raw}:{text}", "--partition")
    if found.topic != raw:
        raise InvalidInput(f"--partition: {text!r} is not a partition of the raw topic {raw}")
    return f"{raw}:{found.partition}"


def _says(changed: str, unchanged: str) -> Callable[[PauseSummary], None]:
    def show(summary: PauseSummary) -> None:
        print_text(f"{summary.kind} {summary.pause_target}: {changed if summary.changed else unchanged}")

    return show
