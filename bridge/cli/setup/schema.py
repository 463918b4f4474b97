"""`bridge schema export|docs`: the contracts as JSON Schemas, and the reference pages generated from code."""

from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.common import result
from bridge.cli.lazy import group
from bridge.reference.documents import export_contracts, write_pages

schema_app = group("schema", "Write the contracts, and the reference pages that are generated from them.")


@schema_app.command()
def export(
    directory: Annotated[Path, typer.Option("--dir", help="Directory of the JSON files.")] = Path("contracts"),
) -> None:
    """Write each contract as JSON: as a JSON Schema, or as a table."""
    result(*map(str, export_contracts(directory)))


@schema_app.command()
def docs(
    directory: Annotated[Path, typer.Option("--dir", help="Directory of the pages.")] = Path("docs"),
) -> None:
    """Write the reference pages of errors, settings, metrics and schema."""
    result(*map(str, write_pages(directory)))
