"""The page of tables, views, functions and columns, generated from the catalogue of the migrated schema."""

from collections.abc import Iterable, Iterator

from sinks.postgres.schema.check import expected_catalogue
from sinks.postgres.schema.privileges import READABLE

_KEYS = ("primary key", "unique", "foreign key", "index")


def schema_page(made_by: str) -> str:
    """Return the page as Markdown, with `made_by` as a comment below the title."""
    catalogue = expected_catalogue()
    functions = [name for name in catalogue if name.endswith("()")]
    return "\n".join(
        [
            "# Tables, views and columns",
            "",
            f"<!-- {made_by} -->",
            "",
            "Comments of the database, which `\\d+` of psql shows as well. What is *for readers* is granted by",
            "`bridge db grants ROLE --service reader`. [querying.md](querying.md) answers the usual questions.",
            "",
            *(line for name in sorted(catalogue.keys() - set(functions)) for line in _relation(name, catalogue[name])),
            "## Functions",
            "",
            *_function_rows(catalogue[name] for name in sorted(functions)),
            "",
        ]
    )


def _relation(name: str, things: dict[str, str]) -> Iterator[str]:
    kind = "view" if f"view {name}" in things else "table"
    reader = ", for readers" if name in READABLE else ""
    yield from (f"## {name}", "", f"*A {kind}{reader}.* {things[f'comment {name}']}", "")
    yield from ("| column | type | what it is |", "| --- | --- | --- |")
    for thing, definition in things.items():
        if thing.startswith("column "):
            path = thing.removeprefix("column ")
            shown = (_cell(definition.partition(" default ")[0]), _cell(things[f"comment {path}"]))
            yield f"| `{path.partition('.')[2]}` | {shown[0]} | {shown[1]} |"
    keys = [f"- {thing}: `{definition}`" for thing, definition in things.items() if thing.startswith(_KEYS)]
    yield from ("", *keys, *([""] if keys else []))


def _function_rows(functions: Iterable[dict[str, str]]) -> Iterator[str]:
    yield from ("| function | returns | what it is |", "| --- | --- | --- |")
    for things in functions:
        for thing, definition in things.items():
            if thing.startswith("function "):
                signature = thing.removeprefix("function ")
                returns = definition.removeprefix("returns ").partition(" language ")[0]
                yield f"| `{signature}` | {_cell(returns)} | {_cell(things[f'comment {signature}'])} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
