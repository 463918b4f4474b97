"""`bridge refused`: requests and events that a running gateway has refused since its start, by reason and script."""

from typing import Annotated

import typer

from bridge.cli.common import JsonOutput, Verbose, command_settings, run, write_result
from bridge.output.tables import Table, print_table, print_text, right
from schemas.errors import InvalidInput


def refused(
    url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Address of the gateway, http://host:port; with its admin port if it has one."
        ),
    ] = None,
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Show the requests and events that a running gateway has refused since its start, by reason and script.

    Without --url this asks the gateway on this machine, at BRIDGE_GATEWAY_ADMIN_PORT or BRIDGE_GATEWAY_PORT. The exit
    code is 0 if the gateway answers, even with refusals, and 3 if it does not.
    """
    settings = command_settings(verbose=verbose)
    from bridge.gateway.refusals import address_in, refusals_at

    asked = url or address_in(settings)
    if asked is None:
        raise InvalidInput(
            "BRIDGE_GATEWAY_PORT is 0 (any free port), so the port is not known; give --url as in the first line of the gateway's output"
        )
    found = run(refusals_at(asked))
    if not write_result({"url": asked, "refused": [one._asdict() for one in found]}, json_output):
        return
    if not found:
        print_text(f"{asked} has refused nothing since its start")
        return
    table = Table("reason", "status", "site", "script", *right("requests", "events"))
    for one in found:
        table.add_row(one.error_code, one.status, one.site, one.script, one.requests, one.events or "")
    print_table(table)
    print_text(
        f"refused by {asked} since its start;",
        "events: counted only in requests whose bodies were read; 401, 403 and 404 are sent without reading the body;",
        "unknown: no registered script; other: all scripts after the first 100",
    )
