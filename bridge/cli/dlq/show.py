"""`bridge dlq show`: one whole dead letter, with its replays."""

from typing import Annotated

import msgspec
import typer

from bridge.cli.common import JsonOutput, Verbose, command_settings, run, write_result
from bridge.dead_letters.documents import BASE64, encoded, letter_document, shown_document
from bridge.output.tables import Table, print_table, print_text
from schemas.errors import InvalidInput
from schemas.pipeline.record import Provenance
from sinks.postgres.dead_letters.lives import Shown
from sinks.postgres.dead_letters.lives import show as look

_SHOWN = (
    "dropped_at", "dropped_reason", "error_class", "error", "cause", "attempt", "disposition", "discarded_by",
    "replay_id", "site_id", "org_id", "script_id", "event_id", "sender", "received_at", "record_time", "first_failed_at",
)  # fmt: skip


def show(
    provenance: Annotated[
        str,
        typer.Argument(metavar="TOPIC:PARTITION:OFFSET", help="Place of the raw record, such as bridge.raw:3:4711."),
    ],
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Show one whole dead letter: its record, the reason of the drop, the event that it replays, and its outcome."""
    settings = command_settings(verbose=verbose)
    try:
        place = Provenance.parse(provenance)
    except ValueError as error:
        raise InvalidInput(f"{error}; expected TOPIC:PARTITION:OFFSET, such as bridge.raw:3:4711") from None
    found = run(look(settings.dsn, place))
    if found is None:
        raise InvalidInput(f"no dead letter in the ledger: {place}; see `bridge dlq list`")
    if write_result(shown_document(found), json_output):
        _print(found)


def _print(found: Shown) -> None:
    document = letter_document(found.letter)
    facts = Table("", "", show_header=False)
    facts.add_row("provenance", found.letter.line.provenance)
    for name in _SHOWN:
        if document[name] is not None:
            facts.add_row(name, document[name])
    for name in ("site_id", "script_id"):
        if (guessed := document[f"guessed_{name}"]) is not None:
            facts.add_row(name, f"~{guessed} (unproven: guessed from the event's text, which can't be parsed)")
    if (claimed := document["claimed_site_id"]) is not None:
        facts.add_row("text", f"names site ~{claimed}, unproven; site {document['site_id']} is the record key's")
    facts.add_row("key", _text(found.letter.body.key))
    for header, value in found.letter.body.headers:
        facts.add_row(f"header {header}", _text(value))
    print_table(facts)
    _print_payload(found.letter.body.value)
    lives = Table("life", "provenance", "this", "state", "attempt", "settled", "reason", "disposition")
    for number, one in enumerate(found.lives, start=1):
        this = "yes" if one.provenance == found.letter.line.provenance else ""
        outcome = (one.settled_at, one.dropped_reason, one.disposition)
        lives.add_row(number, one.provenance, this, one.state, one.attempt, *outcome)
    print_text("")
    print_table(lives)


def _print_payload(value: bytes | None) -> None:
    if value is None:
        print_text("payload: none")
        return
    print_text(f"payload: {len(value)} bytes")
    try:
        # The JSON is formatted without being decoded, so each number and name appears as it was sent.
        lines = msgspec.json.format(value, indent=2).decode().split("\n")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        lines = [_text(value)]
    print_text(*lines)


def _text(raw: bytes | None) -> str:
    text, encoding = encoded(raw)
    if text is None:
        return "null"
    return f"{BASE64}:{text}" if encoding == BASE64 else text
