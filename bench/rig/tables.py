"""Tables of results on the terminal, at most 80 columns wide."""

from collections.abc import Iterable, Sequence
from statistics import median

from rich.console import Console
from rich.table import Table

WIDTH = 80


def show(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; columns after the first are aligned to the right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left", no_wrap=bool(number))
    for row in rows:
        table.add_row(*row)
    console = Console(width=WIDTH)
    console.print(f"\n{title}", style="bold")
    console.print(table)


def spread(figures: Sequence[float], form: str = ",.0f") -> str:
    """Return the range of the figures as text."""
    return f"{min(figures):{form}} to {max(figures):{form}}"


def middle(figures: Iterable[float], form: str = ",.0f") -> str:
    """Return the median of the figures as text."""
    return f"{median(figures):{form}}"
