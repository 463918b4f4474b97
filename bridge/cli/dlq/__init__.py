"""`bridge dlq`: shows why events were dropped, and replays or discards dead letters; one file for each verb.

A dead letter is an event that was dropped: refused for its content, or still failing after its last retry.
"""

from typing import Final

import typer

from bridge.cli.lazy import loading

_PLACES: Final = {
    "groups": "groups:groups",
    "list": "list:list_",
    "show": "show:show",
    "export": "export:export",
    "discard": "discard:discard",
    "plan": "plan:plan",
    "replay": "replay:replay",
    "status": "plans:status",
    "plans": "plans:plans",
    "cancel": "cancel:cancel",
}

dlq_app = typer.Typer(
    name="dlq",
    cls=loading({name: f"bridge.cli.dlq.{place}" for name, place in _PLACES.items()}),
    help="List, replay and discard dead letters: events that were dropped.",
    no_args_is_help=True,
)
