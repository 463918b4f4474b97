"""`bridge api serve` and `bridge api token create|list|revoke`: the operators' HTTP API and its tokens."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from bridge.cli.common import JsonOutput, Verbose, command_settings, result, row_document, run, say, write_result
from bridge.cli.lazy import group
from bridge.output.tables import Table, print_table
from schemas.api_token import Role, expiry
from schemas.config.service import Service
from schemas.documents.run_summary import rfc3339
from schemas.errors import InvalidInput
from sinks.postgres.tokens.api_tokens import create_api_token, list_api_tokens, revoke_api_token

api_app = group("api", "Serve the operators' HTTP API, which has the verbs of `bridge dlq`, and manage its tokens.")
_token_app = group("token", "Create, list and revoke tokens of the API, with their roles and scopes.")
api_app.add_typer(_token_app, name="token")

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The token's name in the history of runs; a name is never used twice.")
]


@api_app.command()
def serve(
    host: Annotated[str | None, typer.Option(help="Address to listen on; 0.0.0.0 means all addresses.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Port; 0 chooses a free one.")] = None,
    verbose: Verbose = False,
) -> None:
    """Serve the API until SIGTERM or Ctrl-C. Replays in flight stop after their current batch, and can be continued.

    The exit code is 0 after a drain. It is 3 if a start check refuses or the port is in use; the error then names the
    settings to change.
    """
    settings = command_settings(verbose=verbose, guarded=True, service="bridge-api", api_host=host, api_port=port)
    from bridge.api.server import serve as serve_api
    from bridge.http.server import address_of, listening
    from streams.startup_checks import ready, warn_of_excess

    run(ready(settings, Service.API))
    run(warn_of_excess(settings, Service.API))
    with listening(settings.api_host, settings.api_port, settings.api_admin_host, settings.api_admin_port) as bound:
        for name, one in zip(("api", "admin"), bound, strict=False):
            result(f"{name} {address_of(one)}")
        run(serve_api(settings, bound))


@_token_app.command()
def create(
    name: Name,
    role: Annotated[Role, typer.Option(help="; ".join(f"{one}: {one.meaning}" for one in Role) + ".")],
    org_id: Annotated[
        int | None, typer.Option(min=1, help="Limit the token to this organisation's dead letters and plans.")
    ] = None,
    expires: Annotated[str, typer.Option(metavar="90d|12h|never", help="Time until the token expires.")] = "90d",
    verbose: Verbose = False,
) -> None:
    """Create a token and show it. It can't be shown again, because only its digest is stored."""
    settings = command_settings(verbose=verbose)
    try:
        expires_at = expiry(expires, datetime.now(UTC))
    except ValueError as error:
        raise InvalidInput(f"--expires: {error}") from None
    made = run(create_api_token(settings.dsn, name, role, org_id=org_id, expires_at=expires_at))
    scope = "every organisation" if org_id is None else f"organisation {org_id}"
    until = "for ever" if expires_at is None else f"until {rfc3339(expires_at)}"
    say(f"token {name}: {role} of {scope}, {until}; this is the only time that it is shown:")
    result(made.text)


@_token_app.command(name="list")
def list_(json_output: JsonOutput = None, verbose: Verbose = False) -> None:
    """List the tokens, without their secrets, which are not stored."""
    settings = command_settings(verbose=verbose)
    rows, now = run(list_api_tokens(settings.dsn)), datetime.now(UTC)
    if write_result([row_document(row._asdict()) | {"state": row.state(now)} for row in rows], json_output):
        table = Table("token", "role", "org", "state", "created", "by", "expires", "last used")
        for row in rows:
            org = "all" if row.org_id is None else row.org_id
            made = (row.created_at, row.created_by)
            times = (row.expires_at or "never", row.last_used_at or "never")
            table.add_row(row.name, row.role, org, row.state(now), *made, *times)
        print_table(table)


@_token_app.command()
def revoke(name: Name, verbose: Verbose = False) -> None:
    """Revoke a token; running services refuse it too."""
    settings = command_settings(verbose=verbose)
    changed = run(revoke_api_token(settings.dsn, name))
    result(f"{name}: revoked" + ("" if changed else " (was revoked already)"))
