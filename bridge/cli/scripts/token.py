"""`bridge script token create|list|revoke`: API keys with which servers send the events of a script."""

from typing import Annotated

import typer

from bridge.cli.common import JsonOutput, Verbose, command_settings, result, row_document, run, say, write_result
from bridge.cli.lazy import group
from bridge.output.tables import Table, print_table
from sinks.postgres.tokens.script_tokens import TokenRow, create_token, list_tokens, revoke_token

token_app = group(
    "token",
    "API keys of a script, for servers. Two can be active, so a new key can replace an old one without an interruption.",
)

ScriptId = Annotated[str, typer.Argument(metavar="SCRIPT_ID", help="The script's id, as events name it.")]


@token_app.command()
def create(
    script_id: ScriptId,
    note: Annotated[str, typer.Option(help="Note about the key's user; the list shows it.")] = "",
    verbose: Verbose = False,
) -> None:
    """Create an API key and show it. It can't be shown again, because only its digest is stored."""
    settings = command_settings(verbose=verbose)
    made = run(create_token(settings.dsn, script_id, note))
    say(f"key {made.key_id} of script {script_id}; this is the only time that it is shown:")
    result(made.text)


@token_app.command(name="list")
def list_(script_id: ScriptId, json_output: JsonOutput = None, verbose: Verbose = False) -> None:
    """List the script's keys, without their secrets, which are not stored."""
    settings = command_settings(verbose=verbose)
    rows = run(list_tokens(settings.dsn, script_id))
    if write_result([_document(row) for row in rows], json_output):
        table = Table("key", "state", "created", "by", "revoked", "note")
        for row in rows:
            table.add_row(row.key_id, _state(row), row.created_at, row.created_by, row.revoked_at, row.note)
        print_table(table)


@token_app.command()
def revoke(
    script_id: ScriptId,
    key_id: Annotated[str, typer.Argument(metavar="KEY_ID", help="The key's id, as the list shows it.")],
    verbose: Verbose = False,
) -> None:
    """Revoke a key; running gateways refuse it too."""
    settings = command_settings(verbose=verbose)
    changed = run(revoke_token(settings.dsn, script_id, key_id))
    result(f"{key_id}: revoked" + ("" if changed else " (was revoked already)"))


def _state(row: TokenRow) -> str:
    return "active" if row.revoked_at is None else "revoked"


def _document(row: TokenRow) -> dict[str, object]:
    return row_document(row._asdict()) | {"state": _state(row)}
