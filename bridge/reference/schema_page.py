"""The page of tables, views, functions and columns, generated from the catalogue of the migrated schema."""

from collections.abc import Iterator

from bridge.reference.markdown import page, table
from sinks.postgres.schema.check import expected_catalogue
from sinks.postgres.schema.privileges import READABLE

_KEYS = ("primary key", "unique", "foreign key", "index")


def schema_page() -> str:
    """Return the page as Markdown."""
    catalogue = expected_catalogue()
    functions = sorted(name for name in catalogue if name.endswith("()"))
    relations = sorted(catalogue.keys() - set(functions))
    return page(
        "Tables, views and columns",
        "Comments of the database, which `\\d+` of psql shows as well. What is *for readers* is granted by\n"
        "`bridge db grants ROLE --service reader`. [querying.md](querying.md) answers the usual questions.",
        *(line for name in relations for line in _relation(name, catalogue[name])),
        "## Functions",
        "",
        *table(
            ("function", "returns", "what it is"), (row for name in functions for row in _functions(catalogue[name]))
        ),
    )


def _relation(name: str, things: dict[str, str]) -> Iterator[str]:
    kind = "view" if f"view {name}" in things else "table"
    reader = ", for readers" if name in READABLE else ""
    yield from (f"## {name}", "", f"*A {kind}{reader}.* {things[f'comment {name}']}", "")
    yield from table(("column", "type", "what it is"), _columns(things))
    keys = [f"- {thing}: `{definition}`" for thing, definition in things.items() if thing.startswith(_KEYS)]
    yield from ("", *keys, *([""] if keys else []))


def _columns(things: dict[str, str]) -> Iterator[tuple[str, ...]]:
    for thing, definition in things.items():
        if thing.startswith("column "):
            path = thing.removeprefix("column ")
            yield f"`{path.partition('.')[2]}`", definition.partition(" default ")[0], things[f"comment {path}"]


def _functions(things: dict[str, str]) -> Iterator[tuple[str, ...]]:
    for thing, definition in things.items():
        if thing.startswith("function "):
            signature = thing.removeprefix("function ")
            returns = definition.removeprefix("returns ").partition(" language ")[0]
            yield f"`{signature}`", returns, things[f"comment {signature}"]
