"""Docstrings, comments, pages and the texts of the product use the field's words."""

import ast
import io
import json
import re
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from house.test_house import SQL, name_of, tracked

MOST_IN_A_THOUSAND = 1.0
# Words that personify, or that hide who does what.
PRIVATE = re.compile(
    r"\b(?:told|tells?|telling|whoever|whomever|whatever|bears?|borne|stands?|stood|anew|mends?|mended|mending|lets? go"
    r"|in hand|hung up|hangs? up|for good|strangers?|somebody|nobody|anybody|takes? up|taken up|goes on|go on|gone on"
    r"|at once|learns? of|is said|says|said|speaks?|spoken|minds?|minded|wary|patience)\b",
    re.IGNORECASE,
)
WORD = re.compile(r"[A-Za-z][A-Za-z'’-]+")
# The least number of words in the literals of each folder of product code.
LEAST_IN_LITERALS = {
    "bridge": 5_000,
    "deploy": 1_000,
    "schemas": 5_000,
    "sinks": 1_000,
    "streams": 500,
    "telemetry": 500,
    "tools": 2_000,
}
CONFIGURATION = {".toml", ".yml", ".yaml", ".template", ".example"}
FEWEST_WORDS = 3
"""A literal with fewer words is a name or a unit."""
AS_APPLIED = {
    "sinks/postgres/schema/migrations": "an applied migration never changes, and its page docs/schema.md is counted",
    "sinks/postgres/schema/schema_snapshot.json": "made from the migrations",
}


def prose_of(path: Path) -> Iterator[str]:
    """The docstrings and comments of a Python file, the comments of other files, and a page without its code blocks."""
    if path.suffix not in {".md", ".sql", ".py", *CONFIGURATION}:
        return
    text = path.read_text()
    if path.suffix == ".md":
        yield re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    elif path.suffix == ".sql":
        yield from re.findall(r"^\s*--(.*)", text, re.MULTILINE)
    elif path.suffix in CONFIGURATION:
        yield from re.findall(r"^\s*#(.*)", text, re.MULTILINE)
    else:
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield ast.get_docstring(node) or ""
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.COMMENT:
                yield token.string


def literals_of(path: Path) -> Iterator[str]:
    """The texts in a file that a reader may see: messages, help, descriptions, summaries."""
    text = path.read_text()
    found: Iterator[str] = iter(())
    if path.suffix == ".py":
        found = _in_python(ast.parse(text))
    elif path.suffix == ".sql":
        found = iter(re.findall(r"'((?:[^']|'')*)'", re.sub(r"--.*", "", text)))
    elif path.suffix == ".json":
        found = _in_document(json.loads(text))
    elif path.suffix == ".toml":
        found = _in_document(tomllib.loads(text))
    elif path.suffix in CONFIGURATION - {".example"}:
        found = (each for document in yaml.safe_load_all(text) for each in _in_document(document))
    elif path.suffix == ".js":
        found = iter(re.findall(r'"([^"\n]*)"', text))
    return (each for each in found if _is_prose(each))


def _paths_of(folder: str) -> list[Path]:
    names = {path: name_of(path) for path in tracked()}
    return [
        path for path, name in names.items() if name.startswith(f"{folder}/") and not name.startswith(tuple(AS_APPLIED))
    ]


def _is_prose(text: str) -> bool:
    """Names, paths and statements are none: a word of prose has letters only, and a mark behind it."""
    words = [word.strip("\"'`()[].,:;!?") for word in text.split()]
    return not SQL.match(text) and sum(WORD.fullmatch(word) is not None for word in words) >= FEWEST_WORDS


def _in_python(tree: ast.Module) -> Iterator[str]:
    """Literals except docstrings, the parts of an f-string as one, and without the code that a mutant replaces."""
    skipped = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr):
                skipped.add(first.value)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Edit":
            skipped.update(node.args)
        elif isinstance(node, ast.JoinedStr):
            skipped.update(node.values)
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _in_document(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from _in_document(value)
    elif isinstance(node, list):
        for value in node:
            yield from _in_document(value)


def _private_of(parts: list[str]) -> list[tuple[str, str]]:
    return sorted((found.lower(), part) for part in parts for found in PRIVATE.findall(part))


def test_prose_uses_the_fields_words() -> None:
    """Migrations are counted as well, although their comments stay as they were applied."""
    parts = [part for path in tracked() for part in prose_of(path)]
    count = sum(len(WORD.findall(part)) for part in parts)
    private = [found for part in parts for found in PRIVATE.findall(part)]

    assert count > 100_000
    assert len(private) * 1000 <= MOST_IN_A_THOUSAND * count, sorted(private)


@pytest.mark.parametrize("folder", sorted(LEAST_IN_LITERALS))
def test_literals_use_the_fields_words(folder: str) -> None:
    parts = [part for path in _paths_of(folder) for part in literals_of(path)]
    count = sum(len(WORD.findall(part)) for part in parts)
    private = _private_of(parts)

    assert count > LEAST_IN_LITERALS[folder]
    assert len(private) * 1000 <= MOST_IN_A_THOUSAND * count, private


def test_literals_are_found_in_each_kind_of_file(tmp_path: Path) -> None:
    """Without docstrings, names, statements and the code of mutants; the parts of an f-string are one text."""
    texts = {
        "a.py": """def f(n):
    "A docstring of words."
    Edit("a.py", "if not self.is over")
    raise E(f"no worker reads {n} of them", "SELECT a FROM b", "a.b.c", "two words")
""",
        "b.toml": "reason = 'it is not reached'\n",
        "c.template": "summary: 'no worker answers {{ $value }} times'\n",
        "d.json": '{"a": [{"description": "what it is for"}]}',
        "e.sql": "-- a comment isn't one\nCOMMENT ON TABLE a IS 'one row for each';",
        "f.js": 'warn("the page has no token");',
        "g.txt": "other files have none",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)

    found = [text for name in texts for text in literals_of(tmp_path / name)]

    assert found == [
        "no worker reads {} of them",
        "it is not reached",
        "no worker answers {{ $value }} times",
        "what it is for",
        "one row for each",
        "the page has no token",
    ]
