"""Command groups; some load a command on demand. To import all commands takes longer than to run most of them."""

import importlib
from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group


def group(name: str, summary: str, **options: Any) -> typer.Typer:
    """Return a group of commands, which shows its help if no command is given."""
    return typer.Typer(name=name, help=summary, no_args_is_help=True, **options)


def loading(places: Mapping[str, str], aliases: Mapping[str, str] | None = None) -> type[TyperGroup]:
    """Return the class of a command group.

    `places` maps each command's or group's name to its `module:attribute`, without the `bridge.cli.` of the module.
    `aliases` are additional names of some commands, which the help does not list.
    """
    known = {**places, **{alias: places[name] for alias, name in (aliases or {}).items()}}

    class Loading(TyperGroup):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            # Typer suggests one of these names for a misspelt name.
            self.commands = {name: TyperCommand(name) for name in places}

        def list_commands(self, _ctx: object) -> list[str]:
            return list(places)

        def get_command(self, _ctx: object, cmd_name: str) -> Any:
            return _loaded(cmd_name, known[cmd_name]) if cmd_name in known else None

    return Loading


def _loaded(name: str, place: str) -> Any:
    module, _, attribute = place.partition(":")
    found = getattr(importlib.import_module(f"bridge.cli.{module}"), attribute)
    if isinstance(found, typer.Typer):
        return get_group(found)
    one = typer.Typer(add_completion=False)
    one.command(name)(found)
    return get_command(one)
