"""Docstrings, comments and pages use the field's words."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from house.test_house import tracked

MOST_IN_A_THOUSAND = 1.0
# Words that personify, or that hide who does what.
PRIVATE = re.compile(
    r"\b(?:told|tells?|telling|whoever|whomever|whatever|bears?|borne|stands?|stood|anew|mends?|mended|mending|lets? go"
    r"|in hand|hung up|hangs? up|for good|strangers?|somebody|nobody|anybody|takes? up|taken up|goes on|go on|gone on"
    r"|at once|learns? of|is said|says|said|speaks?|spoken|minds?|minded|wary|patience)\b",
    re.IGNORECASE,
)
WORD = re.compile(r"[A-Za-z][A-Za-z'’-]+")


def prose_of(path: Path) -> Iterator[str]:
    """The docstrings and comments of a Python file, the comments of a statement, and a page without its code blocks."""
    if path.suffix not in {".md", ".sql", ".py"}:
        return
    text = path.read_text()
    if path.suffix == ".md":
        yield re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    elif path.suffix == ".sql":
        yield from re.findall(r"^\s*--(.*)", text, re.MULTILINE)
    else:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield ast.get_docstring(node) or ""
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield token.string


def test_prose_uses_the_fields_words() -> None:
    """Migrations are counted as well, although their comments stay as they were applied."""
    parts = [part for path in tracked() for part in prose_of(path)]
    count = sum(len(WORD.findall(part)) for part in parts)
    private = [found for part in parts for found in PRIVATE.findall(part)]

    assert count > 100_000
    assert len(private) * 1000 <= MOST_IN_A_THOUSAND * count, sorted(private)
