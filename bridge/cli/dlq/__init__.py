"""`bridge dlq`: analyse why events were dropped, replay or close dead letters; one file a verb."""

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
    help="Dead letters: list them, discard them, replay them.",
    no_args_is_help=True,
)
