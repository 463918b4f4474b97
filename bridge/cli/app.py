"""The tree of commands."""

from importlib.metadata import version
from typing import Annotated, Final

import typer

from bridge.cli.lazy import loading
from telemetry.terminal import result

_GROUPS: Final = (
    "stack",
    "script",
    "topics",
    "offsets",
    "db",
    "gate",
    "brake",
    "identity",
    "pause",
    "dlq",
    "api",
    "runs",
    "schema",
    "keys",
    "deploy",
)
_COMMANDS: Final = ("up", "demo", "worker", "gateway", "refused", "process", "produce", "audit", "doctor", "top")
_PLACES: Final = {
    **{name: f"bridge.cli.{name}:{name}" for name in _COMMANDS},
    "kpi": "bridge.cli.gate:kpi",
    **{name: f"bridge.cli.{name}:{name}_app" for name in _GROUPS},
}


def _version(given: bool) -> None:
    if given:
        result(f"bridge {version('ghostlink-bridge')}")
        raise typer.Exit


app = typer.Typer(
    name="bridge",
    cls=loading(_PLACES),
    help="Raw bridge events from Kafka to clean rows in Postgres: every one accounted for, once in effect.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _group(
    _asked: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Nothing of its own: a group without a command that is loaded already needs it to be one."""
