"""`bridge dlq list`: dead letters line by line, the latest first."""

from typing import Annotated

import typer

from bridge.cli.common import JsonOutput, Verbose, command_settings, run, write_result
from bridge.cli.dlq.options import with_filter
from bridge.dead_letters.documents import page_document
from bridge.output.tables import Table, print_table, print_text
from schemas.documents.dead_letter_filter import DeadLetterFilter
from sinks.postgres.dead_letters.letter import DeadLetterLine
from sinks.postgres.dead_letters.pages import Page, Place, page


@with_filter
def list_(
    chosen: DeadLetterFilter,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most dead letters on a page.")] = 50,
    after: Annotated[
        str | None, typer.Option(metavar="PLACE", help="Continue after the previous page: the value of its `next`.")
    ] = None,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """List dead letters, the latest first, and show their total number."""
    settings = command_settings(verbose=verbose)
    found = run(page(settings.dsn, chosen, limit=limit, after=None if after is None else Place.parse(after)))
    if write_result(page_document(found), json_output):
        _print(found)


def _print(found: Page) -> None:
    table = Table("dropped", "provenance", "reason", "site", "script", "event", "error")
    for column in table.columns:
        column.no_wrap = column.header != "error"
    for line in found.lines:
        script = known(line.script_id, line.guessed_script_id)
        site = known(line.site_id, line.guessed_site_id)
        site += "" if line.claimed_site_id is None else f" (text: ~{line.claimed_site_id})"
        table.add_row(line.dropped_at, line.provenance, why(line), site, script, line.event_id, line.error)
    if found.lines:
        print_table(table)
    following = "" if found.following is None else f"; next page: --after {found.following}"
    if any(line.guessed_site_id is not None or line.guessed_script_id is not None for line in found.lines):
        print_text("~: unproven, guessed from the event's text, which can't be parsed")
    if any(line.claimed_site_id is not None for line in found.lines):
        print_text(
            "N (text: ~M): the record key names site N; the event's text, which is no proof, names site M and the script"
        )
    print_text(f"{len(found.lines)} of {found.total}{following}")


def known(one: int | str | None, guessed: int | str | None) -> str:
    """Return the known value `one` of a column; if None, the value guessed from the dead letter's text, with a `~`."""
    if one is not None:
        return str(one)
    return "" if guessed is None else f"~{guessed}"


def why(line: DeadLetterLine) -> str:
    """Return why the dead letter's event was dropped: the reason, and the last error's class if it differs."""
    same = line.dropped_reason == line.error_class
    return line.dropped_reason if same else f"{line.dropped_reason} ({line.error_class})"
