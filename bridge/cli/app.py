"""The tree of commands."""

from typing import Final

import typer

from bridge.cli.lazy import loading

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
)
_COMMANDS: Final = ("up", "demo", "worker", "gateway", "process", "produce", "audit", "doctor", "top")
_PLACES: Final = {
    **{name: f"bridge.cli.{name}:{name}" for name in _COMMANDS},
    "kpi": "bridge.cli.gate:kpi",
    **{name: f"bridge.cli.{name}:{name}_app" for name in _GROUPS},
}

app = typer.Typer(
    name="bridge",
    cls=loading(_PLACES),
    help="Raw bridge events from Kafka to clean rows in Postgres: every one accounted for, once in effect.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


@app.callback()
def _group() -> None:
    """Nothing of its own: a group without a command that is loaded already needs it to be one."""
