"""`bridge schema export|docs`: the contracts as JSON Schemas, and the reference pages generated from code."""

from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.common import result
from bridge.reference.documents import export_contracts, write_pages

schema_app = typer.Typer(name="schema", help="The contracts and the reference made from them.", no_args_is_help=True)


@schema_app.command()
def export(
    directory: Annotated[Path, typer.Option("--dir", help="Where the JSON files go.")] = Path("contracts"),
) -> None:
    """Write each contract as JSON: a JSON Schema, or a table."""
    for path in export_contracts(directory):
        result(str(path))


@schema_app.command()
def docs(
    directory: Annotated[Path, typer.Option("--dir", help="Where the pages go.")] = Path("docs"),
) -> None:
    """Write the reference pages of errors and settings."""
    for path in write_pages(directory):
        result(str(path))
