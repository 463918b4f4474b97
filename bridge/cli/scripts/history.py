"""`bridge script history`: the changes of the registry, with account and time.

The registry is the tables of scripts, sites, organisations, keys, tokens and pauses.
"""

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from bridge.cli.common import JsonOutput, Verbose, asked_moment, command_settings, row_document, run, write_result
from bridge.output.tables import Table, print_table
from sinks.postgres.registry.history import RegistryChange, list_changes

_SAID = frozenset({"script_id", "site_id", "org_id", "target", "reason", "created_by", "revoked_by", "paused_by"})
"""Columns of a new or removed row whose values are in other columns of the table."""


def history(
    script_id: Annotated[
        str | None,
        typer.Argument(metavar="SCRIPT_ID", help="Only changes of this script, its site and its organisation."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="AGE|TIME", help="Changed at this time or later; 2h is two hours ago.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Most changes to show.")] = 20,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """List the newest changes of scripts, sites, organisations, keys, API tokens and pauses."""
    settings = command_settings(verbose=verbose)
    begin = asked_moment("--since", since, datetime.now(UTC))
    found = run(list_changes(settings.dsn, script_id, begin, limit))
    if write_result([row_document(one._asdict()) for one in found], json_output):
        table = Table("changed", "what", "name", "of", "by", "account", "values", "why")
        for one in found:
            what, accounts = f"{one.subject} {one.change}", (one.changed_by, one.written_by)
            table.add_row(one.written_at, what, one.name, _place(one), *accounts, _values(one), one.reason)
        print_table(table)


def _place(one: RegistryChange) -> str:
    """Return the script, site and organisation to which a changed row belongs, without the changed row itself."""
    of = {"script": one.script_id, "site": one.site_id, "org": one.org_id}
    return ", ".join(f"{kind} {which}" for kind, which in of.items() if which is not None and kind != one.subject)


def _values(one: RegistryChange) -> str:
    """Return the changed columns with old and new values. For an added or removed row, return its values."""
    if one.change == "revoked":
        return ""
    if one.old and one.new:
        return ", ".join(f"{name} {_text(one.old.get(name))} -> {_text(value)}" for name, value in one.new.items())
    held = (one.new or one.old).items()
    return ", ".join(f"{name} {_text(value)}" for name, value in held if name not in _SAID and value != one.name)


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
