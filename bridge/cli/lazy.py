"""Command groups that load a command on demand: importing all commands takes longer than most of them run."""

import importlib
from collections.abc import Mapping
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command, get_group


def loading(places: Mapping[str, str], aliases: Mapping[str, str] | None = None) -> type[TyperGroup]:
    """Return the class of a group whose commands are loaded from `module:attribute`, as functions or groups.

    `aliases` are additional names of some of them, which the help does not list.
    """
    known = {**places, **{alias: places[name] for alias, name in (aliases or {}).items()}}

    class Loading(TyperGroup):
        def __init__(self, **options: Any) -> None:
            super().__init__(**options)
            # The names that a misspelt name is compared with.
            self.commands = {name: TyperCommand(name) for name in places}

        def list_commands(self, _ctx: object) -> list[str]:
            return list(places)

        def get_command(self, _ctx: object, cmd_name: str) -> Any:
            return _loaded(cmd_name, known[cmd_name]) if cmd_name in known else None

    return Loading


def _loaded(name: str, place: str) -> Any:
    module, _, attribute = place.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    if isinstance(found, typer.Typer):
        return get_group(found)
    one = typer.Typer(add_completion=False)
    one.command(name)(found)
    return get_command(one)
