"""Tables and lines for people on standard output. The console escapes what it prints.

A table that is wider than the terminal is printed as cards, so that no id and no message is truncated or broken.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from textwrap import wrap
from typing import Any, Final

from rich import box, table
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.text import Text

from schemas.documents.run_summary import rfc3339
from telemetry.printable import encodable, printable

# Without a terminal, lines are not wrapped, so that grep finds whole lines.
_PIPE_WIDTH: Final = 1_000_000
_GAP: Final = "  "
# `SIMPLE_HEAD` for encodings without box-drawing characters.
_ASCII_HEAD: Final = box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)


class Table(table.Table):
    """A table. If it does not fit the terminal, each row is printed as a card.

    A card has `name: value` pairs over several lines. A pair that fills a line or more has its own lines, broken only
    between words. Empty cells are left out.
    """

    def add_row(self, *cells: Any, **options: Any) -> None:
        """Add a row of any values: None is an empty cell, and a time is shown in UTC, in whole seconds."""
        super().add_row(*map(_cell, cells), **options)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table, or its cards."""
        terminal = console.is_terminal
        self.pad_edge = False
        self.box = None if not terminal else _ASCII_HEAD if options.ascii_only else box.SIMPLE_HEAD
        natural = Measurement.get(console, options.update_width(_PIPE_WIDTH), self).maximum
        if natural <= options.max_width:
            yield from super().__rich_console__(console, options)
            return
        if self.title:
            yield Text(_plain(console, self.title), self.title_style or "table.title")
        for number, row in enumerate(zip(*(column.cells for column in self.columns), strict=True)):
            if number and self.show_header:
                yield Text()
            for line in self._card(console, row, options.max_width):
                yield Text(line, no_wrap=True, overflow="ignore")

    def _card(self, console: Console, row: tuple[RenderableType, ...], width: int) -> Iterator[str]:
        """Yield the lines of one row's card."""
        texts = [_plain(console, cell) for cell in row]
        if not self.show_header:
            yield from _lines(f"{texts[0]}: {_GAP.join(texts[1:])}", width, _GAP)
            return
        line = ""
        for column, text in zip(self.columns, texts, strict=True):
            if not text:
                continue
            field = f"{_plain(console, column.header)}: {text}"
            if line and len(Text(line)) + len(_GAP) + Text(field).cell_len > width:
                yield from _lines(line, width, _GAP * 2)
                line = ""
            line = f"{line}{_GAP}{field}" if line else field if column is self.columns[0] else f"{_GAP}{field}"
        yield from _lines(line, width, _GAP * 2)


class SafeConsole(Console):
    """A console that escapes control characters, and characters that the encoding lacks, in every text.

    It parses no text as markup or emoji.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        stream = sys.stderr if stderr else sys.stdout
        width = None if stream.isatty() else _PIPE_WIDTH
        super().__init__(file=stream, width=width, highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """Escape the string before rich measures it, so that a line break in it does not end the line."""
        return super().render_str(self._shown(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Yield the escaped segments of anything that rich can print."""
        if isinstance(renderable, Text) and self._shown(renderable.plain) != renderable.plain:
            renderable = renderable.blank_copy(self._shown(renderable.plain))
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=self._shown(segment.text, keep="\n"))

    def _shown(self, text: str, *, keep: str = "") -> str:
        return encodable(printable(text, keep=keep), self.encoding)


def right(*headers: str) -> list[table.Column]:
    """Return columns that are aligned to the right, for numbers."""
    return [table.Column(header, justify="right") for header in headers]


def on_terminal() -> bool:
    """Return whether standard output is a terminal."""
    return sys.stdout.isatty()


def print_left_out(count: int, what: str) -> None:
    """Print how many rows the table omits because the output is a terminal, if it omits any."""
    if count:
        print_text(f"{count} {what} not shown: --all shows them")


def print_table(whole: RenderableType) -> None:
    """Print a table, or tables and lines that belong together.

    If standard output is not a terminal, tables have a plain form for `cut` and `grep`.
    """
    SafeConsole().print(whole, crop=False)


def print_pairs(pairs: Mapping[str, str | None]) -> None:
    """Print a line for each name and its text; names without a text are left out."""
    rows = Table("", "", show_header=False)
    for name, text in pairs.items():
        if text:
            rows.add_row(name, text)
    if rows.rows:
        print_table(rows)


def print_counts(title: str, counts: Mapping[str, int], unit: str = "items") -> None:
    """Print one table of counts, if there are any."""
    if counts:
        rows = Table(title, *right(unit))
        for name, count in counts.items():
            rows.add_row(name, count)
        print_table(rows)


def print_text(*lines: str) -> None:
    """Print these lines without wrapping. A line break within a line is escaped."""
    for line in lines:
        SafeConsole().print(line, soft_wrap=True)


def _cell(value: Any) -> RenderableType:
    if isinstance(value, datetime):
        return rfc3339(value)
    return value if isinstance(value, Text) else "" if value is None else str(value)


def _plain(console: Console, cell: RenderableType | None) -> str:
    text = cell if isinstance(cell, Text) else console.render_str(str(cell or ""))
    return encodable(printable(text.plain), console.encoding)


def _lines(text: str, width: int, indent: str) -> list[str]:
    """Wrap the text between words. A word that is wider than a line is not broken."""
    return wrap(text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
