"""`bridge script add|list|history|disable|enable`: the scripts that may send events, and their sites."""

from datetime import datetime
from typing import Annotated

import typer

from bridge.cli.common import JsonOutput, Verbose, command_settings, result, row_document, run, write_result
from bridge.cli.lazy import group
from bridge.cli.scripts.history import history
from bridge.cli.scripts.token import ScriptId, token_app
from bridge.output.tables import Table, print_table
from sinks.postgres.registry.admin import Change, add_script, list_scripts, set_enabled

script_app = group("script", "Register and list the scripts that send a site's events.")
script_app.add_typer(token_app, name="token")
script_app.command()(history)


@script_app.command()
def add(
    script_id: ScriptId,
    site_id: Annotated[int, typer.Option(help="The script's site.")],
    org_id: Annotated[int | None, typer.Option(help="The site's organisation.")] = None,
    origin: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Origin of pages that may send, scheme://host[:port]. Repeatable."),
    ] = None,
    shared_ids: Annotated[
        bool | None,
        typer.Option(
            "--shared-ids/--ids-by-sender",
            help="Events with the same id are duplicates even if a visitor sent one and a server the other; the server's "
            "event is kept. By default, ids are compared only between events of one sender class.",
        ),
    ] = None,
    move: Annotated[
        bool,
        typer.Option("--move", help="Move a registered script to another site, or its site to another organisation."),
    ] = False,
    verbose: Verbose = False,
) -> None:
    """Register a script. Options that are left out don't change a registered script; a repetition changes nothing."""
    settings = command_settings(verbose=verbose)
    adding = add_script(
        settings.dsn, script_id, site_id, org_id=org_id, origins=origin or None, move=move, shared_ids=shared_ids
    )
    result(f"{script_id}: {run(adding)}")


@script_app.command(name="list")
def list_(
    site_id: Annotated[int | None, typer.Option(help="Only this site's scripts.")] = None,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """List the registered scripts."""
    settings = command_settings(verbose=verbose)
    rows = run(list_scripts(settings.dsn, site_id=site_id))
    if write_result([row_document(row._asdict(), datetime.isoformat) for row in rows], json_output):
        table = Table("script", "site", "org", "enabled", "ids", "changed", "origins")
        for row in rows:
            enabled, ids = "yes" if row.enabled else "no", "shared" if row.shared_ids else "by sender"
            origins = " ".join(row.origins)
            table.add_row(row.script_id, row.site_id, row.org_id, enabled, ids, row.updated_at, origins)
        print_table(table)


@script_app.command()
def disable(script_id: ScriptId, verbose: Verbose = False) -> None:
    """Disable a script. Its events are handled like those of an unknown script: they are retried, then dropped."""
    _set_enabled(script_id, enabled=False, verbose=verbose)


@script_app.command()
def enable(script_id: ScriptId, verbose: Verbose = False) -> None:
    """Enable a disabled script: its events are accepted again."""
    _set_enabled(script_id, enabled=True, verbose=verbose)


def _set_enabled(script_id: str, *, enabled: bool, verbose: bool) -> None:
    settings = command_settings(verbose=verbose)
    change = run(set_enabled(settings.dsn, script_id, enabled=enabled))
    state = f" (was {'enabled' if enabled else 'disabled'} already)" if change is Change.UNCHANGED else ""
    result(f"{script_id}: {change}{state}")
