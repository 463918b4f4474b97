"""Every table of the product, found in its sources, at terminal widths: its content is complete."""

import ast
import importlib
import io
import re
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from rich.table import Column

import bridge
from bridge.output.tables import Table, print_table, right
from schemas.reasons import DroppedReason

SOURCES = Path(bridge.__file__).parent
ID = "0f5c1d8f-6a2e-4b47-9d1c-{:012d}"
MESSAGE = (
    "currency: 'EURO' is no currency, three capital letters such as EUR are: " + "déjà vu, cents & €, " * 9 + "end"
)
ESCAPES = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.TextIOWrapper):
    """A terminal that keeps its output."""

    def __init__(self, encoding: str) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, newline="")

    def isatty(self) -> bool:
        return True

    def said(self) -> str:
        """The output as this terminal shows it."""
        self.flush()
        return ESCAPES.sub("", self.buffer.getvalue().decode(self.encoding))  # type: ignore[attr-defined]  # BytesIO


def headers(call: ast.Call, scope: dict[str, Any]) -> tuple[str, ...]:
    """The columns of a call of `Table`."""
    code = compile(ast.Expression(ast.Tuple(call.args, ast.Load(), **place(call))), "headers", "eval")
    # Our own sources. A column of numbers is an object with its heading.
    return tuple(one.header if isinstance(one, Column) else one for one in eval(code, scope))


def place(node: ast.expr) -> dict[str, Any]:
    return {"lineno": node.lineno, "col_offset": node.col_offset}


def scopes(function: ast.FunctionDef, tree: ast.Module, names: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The values of the function's names: a parameter has its own name, `*columns` the callers' values."""
    arguments = function.args
    own = {one.arg: one.arg for one in (*arguments.args, *arguments.kwonlyargs)}
    callers: list[dict[str, Any]] = [{}]
    if arguments.vararg is not None:
        name, given = arguments.vararg.arg, len(arguments.args)
        calls = [one for one in ast.walk(tree) if isinstance(one, ast.Call) and ast.unparse(one.func) == function.name]
        callers = [{name: one.args[given:]} for one in calls]
    for caller in callers:
        scope = {**names, **own}
        for name, given_arguments in caller.items():
            around = next(
                one
                for one in ast.walk(tree)
                if isinstance(one, ast.FunctionDef) and given_arguments[-1] in ast.walk(one)
            )
            inner = {**scope, **assigned(around, scope)}
            scope[name] = headers(ast.Call(ast.Name("f"), given_arguments, [], **place(given_arguments[0])), inner)
        yield {**scope, **assigned(function, scope)}


def assigned(function: ast.FunctionDef, scope: dict[str, Any]) -> dict[str, Any]:
    """The columns that the function builds, conditional ones included."""
    found: dict[str, Any] = {}
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign):
            continue
        value = node.value.body if isinstance(node.value, ast.IfExp) else node.value
        builds = isinstance(value, ast.Tuple | ast.List | ast.Subscript) or ast.unparse(value).startswith("right(")
        if builds and isinstance(node.targets[0], ast.Name):
            try:
                found[node.targets[0].id] = eval(ast.unparse(value), {**scope, **found})  # as above
            except (NameError, AttributeError, TypeError, LookupError):
                continue
    return found


def tables() -> Iterator[Any]:
    """The columns of each table in a module of the product, and whether they have headings."""
    for path in sorted(SOURCES.rglob("*.py")):
        tree = ast.parse(path.read_text())
        name = "bridge." + ".".join(path.relative_to(SOURCES).with_suffix("").parts)
        for function in (one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef)):
            calls = [
                one for one in ast.walk(function) if isinstance(one, ast.Call) and ast.unparse(one.func) == "Table"
            ]
            for number, call in enumerate(calls):
                headed = all(one.arg != "show_header" for one in call.keywords)
                for kind, scope in enumerate(scopes(function, tree, vars(importlib.import_module(name)))):
                    identity = f"{name}:{function.name}-{number}-{kind}"
                    yield pytest.param(headers(call, scope), headed, id=identity)


def shown(columns: tuple[str, ...], rows: list[list[str]], headed: bool, encoding: str) -> str:
    """The table as a terminal shows it."""
    terminal = Terminal(encoding)
    before, sys.stdout = sys.stdout, terminal
    try:
        table = Table(*columns, show_header=headed)
        for row in rows:
            table.add_row(*row)
        print_table(table)
    finally:
        sys.stdout = before
    return terminal.said()


def one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("encoding", ["utf-8", "ascii", "latin-1"])
@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize(("columns", "headed"), list(tables()))
def test_table_fits_its_terminal(
    columns: tuple[str, ...], headed: bool, width: int, encoding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids stay on one line, messages are complete and in order, and no line exceeds the width."""
    monkeypatch.setenv("COLUMNS", str(width))
    ids = [ID.format(number) for number in range(len(columns))]
    rows = [ids, [*ids[:-1], MESSAGE], [str(number) for number in range(len(columns))]]
    said = shown(columns, rows, headed, encoding)
    lines = said.splitlines()

    assert [line for line in lines if len(line) > width] == []
    assert all(any(one in line for line in lines) for one in ids)
    assert MESSAGE.encode(encoding, "backslashreplace").decode(encoding) in one_line(said)
    assert all(name in one_line(said) for name in columns if headed)


def test_table_that_fits_is_one_line_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only wider tables become cards."""
    monkeypatch.setenv("COLUMNS", "80")
    said = shown(("run", "exit"), [[ID.format(1), "0"], [ID.format(2), "1"]], True, "ascii")
    assert [line.split() for line in said.splitlines() if ID[:8] in line] == [[ID.format(1), "0"], [ID.format(2), "1"]]


def test_card_leaves_out_what_is_empty_and_breaks_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """The terminal wraps a wider word, so it can be copied as one."""
    monkeypatch.setenv("COLUMNS", "80")
    said = shown(("event", "site", "error"), [["e" * 90, "", "too long"]], True, "utf-8")
    assert "site" not in said
    assert "e" * 90 in said
    assert "error: too long" in said


def test_every_table_is_of_the_one_kind() -> None:
    """A plain rich table truncates wide content."""
    found = {
        path.name
        for path in SOURCES.rglob("*.py")
        if re.search(r"rich\.table|rich import .*\btable\b", path.read_text())
    }
    assert found == {"tables.py"}
    assert len(list(tables())) > 20


def test_row_is_made_of_any_values(capsys: pytest.CaptureFixture[str]) -> None:
    """None is an empty cell, a number is not lost if it is 0, and a time is in UTC whatever its zone."""
    table = Table("event", *right("count"), "at", "why")
    table.add_row(
        None, 0, datetime(2026, 2, 10, 16, 30, 1, 999, timezone(timedelta(hours=2))), DroppedReason.RETRY_EXHAUSTED
    )
    print_table(table)
    assert capsys.readouterr().out.splitlines()[1].split() == ["0", "2026-02-10T14:30:01Z", "retry_exhausted"]
