"""The parts of a generated reference page, in Markdown."""

from collections.abc import Iterable
from typing import Final

MADE_BY: Final = "made by `bridge schema docs`; edit the code, not this page"


def page(title: str, introduction: str, *lines: str) -> str:
    """Return a page: its title, a comment that names its generator, an introduction, and the other lines."""
    return "\n".join([f"# {title}", "", f"<!-- {MADE_BY} -->", "", introduction, "", *lines, ""])


def table(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Return the lines of a table."""
    lines = [titles, tuple("---" for _ in titles), *(tuple(cell.replace("|", "\\|") for cell in row) for row in rows)]
    return ["| " + " | ".join(line) + " |" for line in lines]
