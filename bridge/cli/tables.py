"""Tables and lines for people, on standard output: the one console of the command line, which writes out what it is given."""

import sys
from collections.abc import Iterable
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from schemas.printable import printable

# Where there is no terminal to fit into, a line must not be folded: somebody greps it.
_PIPE_WIDTH = 4000


class SafeConsole(Console):
    """A console that writes out control characters in every text, cell and title; none is read as markup or emoji."""

    def __init__(self, *, stderr: bool = False) -> None:
        stream = sys.stderr if stderr else sys.stdout
        width = None if stream.isatty() else _PIPE_WIDTH
        super().__init__(file=stream, width=width, highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """What rich makes of each string before it measures it: a line break in it ends no line."""
        return super().render_str(printable(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """The segments of anything that rich can show."""
        if isinstance(renderable, Text) and not renderable.plain.isprintable():
            renderable = Text(printable(renderable.plain), renderable.style)
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text, keep="\n"))


def print_table(table: Table) -> None:
    """Prints the table, plain enough to be cut and grepped."""
    table.box = box.SIMPLE_HEAD if sys.stdout.isatty() else None
    table.pad_edge = False
    SafeConsole().print(table)


def print_renderable(whole: RenderableType) -> None:
    """Prints tables and lines that belong together."""
    SafeConsole().print(whole)


def print_text(line: str) -> None:
    """Prints one line, never folded."""
    SafeConsole().print(line, soft_wrap=True)
