"""Tables and lines for people, on standard output."""

import sys

from rich import box
from rich.console import Console, RenderableType
from rich.table import Table

# Where there is no terminal to fit into, a line must not be folded: somebody greps it.
_PIPE_WIDTH = 4000


def _console() -> Console:
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False, markup=False)


def printable(text: str) -> str:
    """The text with whatever would move a terminal's cursor, or change its colours, written out."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def print_table(table: Table) -> None:
    """Prints the table, plain enough to be cut and grepped; no cell's text is read as markup."""
    table.box = box.SIMPLE_HEAD if sys.stdout.isatty() else None
    table.pad_edge = False
    _console().print(table, markup=False)


def print_renderable(whole: RenderableType) -> None:
    """Prints tables and lines that belong together."""
    _console().print(whole)


def print_text(line: str) -> None:
    """Prints one line as it is."""
    _console().print(line, soft_wrap=True, markup=False)
