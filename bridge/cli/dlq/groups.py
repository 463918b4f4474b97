"""`bridge dlq groups`: dead letters by cause, and events that were dropped more than once.

A cause is a reason and an error message, without the numbers, ids and quoted values in the message.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer

from bridge.cli.common import JsonOutput, Verbose, command_settings, run, write_result
from bridge.cli.dlq.list import why
from bridge.cli.dlq.options import with_filter
from bridge.dead_letters.documents import groups_document, share
from bridge.dead_letters.sent_again import groups_looked_up
from bridge.output.tables import Table, on_terminal, print_left_out, print_table, print_text, right
from bridge.sites import site_in_words
from schemas.documents.dead_letter_filter import DeadLetterFilter
from sinks.cooperative import unshared
from sinks.postgres.dead_letters.groups import Group, Groups, Guessed, Often, Owner

_MOST_SHOWN: Final = 3
"""Most rows of duplicates by script and of repeated events on a terminal, so that the causes stay visible."""
_RETRIED: Final = timedelta(seconds=10)
"""Least time between receipt and drop that `groups` shows. An event without retries is dropped sooner."""


@with_filter
def groups(
    chosen: DeadLetterFilter,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most groups, and most repeated events, to show.")] = 20,
    everything: Annotated[
        bool, typer.Option("--all", help="On a terminal, show the rarer duplicates and repeated events too.")
    ] = False,
    hours: Annotated[
        int, typer.Option(min=1, max=72, help="Number of past hours whose drops are counted, hour by hour.")
    ] = 6,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Group dead letters by cause: reason and message, without the numbers, ids and quoted values in the message.

    Also count duplicates by script, and list events that were dropped more than once, including duplicates.
    """
    settings = command_settings(verbose=verbose)
    found = run(groups_looked_up(settings, chosen, unshared(), now=datetime.now(UTC), hours=hours, limit=limit))
    if write_result(groups_document(found), json_output):
        print_groups(found, hours, everything=everything or not on_terminal())


def print_groups(found: Groups, hours: int, *, everything: bool = False) -> None:
    """Print dead letters by cause, duplicates by script, and events that were dropped more than once.

    A cause is a reason and an error message. Without `everything`, print only the most frequent entries of each list.
    """
    # The column is left out if it would be empty.
    persisted = ["persisted"] if any(one.persisted for one in found.groups) else []
    figures = right("dead letters", "share", *persisted, f"last {hours} h")
    since = ["since"] if any(one.first_at - one.since >= _RETRIED for one in found.groups) else []
    table = Table(*figures, *since, "first", "last", "reason", "message", "whose", "example", "cause")
    for column in table.columns:
        column.no_wrap = column.header not in ("message", "whose")
    for one in found.groups:
        table.add_row(
            one.dead_letters, f"{share(one.dead_letters, found.total):.1f} %", *(_persisted(one) for _ in persisted),
            " ".join(map(str, reversed(one.hours))), *(one.since for _ in since),
            one.first_at, one.last_at, why(one.example), one.message, _whose(one), one.example.provenance, one.cause,
        )  # fmt: skip
    if found.groups:
        print_table(table)
    more = found.causes - len(found.groups)
    causes = "1 cause" if found.causes == 1 else f"{found.causes} causes"
    print_text(f"{found.total} dead letters, {causes}" + (f"; {more} rarer causes not shown" if more else ""))
    if since:
        print_text(
            "first, last: times of the first and the last drop; since: when the first event was received, before its retries"
        )
    if persisted:
        print_text(
            "persisted: events that their producers have sent again; `bridge dlq discard --persisted` closes these dead letters"
        )
    if found.often.by_script:
        _print_duplicates(found.often, everything=everything)
    if found.often.repeated:
        _print_repeated(found.often, everything=everything)


def _persisted(one: Group) -> str:
    """Return for how many dead letters of a cause the event is persisted (a row with the same event id exists).

    If not all dead letters of the cause were looked up, the text also contains the number looked up.
    """
    if not one.persisted:
        return ""
    return str(one.persisted) if one.looked_up >= one.dead_letters else f"{one.persisted} of {one.looked_up}"


def _print_duplicates(often: Often, *, everything: bool) -> None:
    table = Table("script", "site", *right("duplicates"))
    shown = often.by_script if everything else often.by_script[:_MOST_SHOWN]
    for one in shown:
        table.add_row(one.script_id, one.site_id, one.duplicates)
    print_text("")
    replays = f", {often.replays} of these replays" if often.replays else ""
    print_text(f"dropped as duplicates: {often.duplicates}{replays}")
    print_table(table)
    print_left_out(len(often.by_script) - len(shown), "scripts")
    if more := often.scripts - len(often.by_script):
        print_text(f"and {more} more scripts")


def _print_repeated(often: Often, *, everything: bool) -> None:
    table = Table("script", "site", "event", "drops", "first", "last")
    for column in table.columns:
        column.no_wrap = True
    print_text("")
    print_text("events that were dropped more than once, including duplicates:")
    most = sorted(often.repeated, key=lambda one: -one.drops)
    shown = most if everything else most[:_MOST_SHOWN]
    for one in sorted(shown, key=lambda one: (one.script_id or "", -one.drops)):
        table.add_row(one.script_id, one.site_id, one.event_id, one.drops, one.first_at, one.last_at)
    print_table(table)
    print_left_out(len(most) - len(shown), "repeated events")
    if more := often.events - len(often.repeated):
        print_text(f"and {more} more events")


def _whose(group: Group) -> str:
    """Return the sites with the most dead letters of one cause (`group`), with their counts."""
    named = "; ".join(map(_owner, group.owners))
    more = group.sites - len(group.owners)
    guessed = ", ".join(map(_guessed, group.guesses))
    return (
        named + (f"; {more} more sites" if more else "") + (f"; unproven, by their text: {guessed}" if guessed else "")
    )


def _guessed(one: Guessed) -> str:
    """Return the site that the text of dead letters names without proof, marked by `~`, and their number.

    If the record key names another site, the result contains that site too.
    """
    if one.keyed_site_id == one.site_id:
        return f"site {one.site_id} ~{', '.join(one.scripts)}: {one.dead_letters}"
    keyed = "" if one.keyed_site_id is None else f" (site {one.keyed_site_id} by the record key)"
    return f"site ~{one.site_id}{' ' if one.scripts else ''}{', '.join(one.scripts)}{keyed}: {one.dead_letters}"


def _owner(one: Owner) -> str:
    site = site_in_words(one.site_id, one.org_id)
    return f"{site}{' ' if one.scripts else ''}{', '.join(one.scripts)}: {one.dead_letters}"
