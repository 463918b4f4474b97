"""The tree of commands."""

import importlib
from typing import Final

import typer

app = typer.Typer(
    name="bridge",
    help="Raw bridge events from Kafka to clean rows in Postgres: every one accounted for, once in effect.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

_GROUPS: Final = ("stack", "script", "topics", "offsets", "db", "gate", "brake", "dlq", "api", "runs", "schema")
_COMMANDS: Final = ("up", "demo", "worker", "gateway", "process", "produce", "audit", "doctor", "top")

for _name in _GROUPS:
    app.add_typer(getattr(importlib.import_module(f"bridge.cli.{_name}"), f"{_name}_app"), name=_name)
for _name in _COMMANDS:
    app.command(_name)(getattr(importlib.import_module(f"bridge.cli.{_name}"), _name))
app.command("kpi")(importlib.import_module("bridge.cli.gate").kpi)
