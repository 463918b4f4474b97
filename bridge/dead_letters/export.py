"""Dead letters whole, as lines of JSON or as CSV."""

import csv
import json
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, TextIO

from bridge.dead_letters.documents import letter_document
from sinks.dead_letters.letter import WholeDeadLetter

_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")

Write = Callable[[WholeDeadLetter], None]


class Form(StrEnum):
    """How dead letters are written."""

    NDJSON = "ndjson"
    CSV = "csv"


def writer(stream: TextIO, form: Form) -> Write:
    """Writes dead letters to the stream one by one; a CSV's first line names its columns."""
    if form is Form.NDJSON:
        return lambda letter: _line(stream, letter_document(letter))
    table = csv.writer(stream)
    begun: list[bool] = []

    def write(letter: WholeDeadLetter) -> None:
        document = letter_document(letter)
        if not begun:
            begun.append(True)
            table.writerow(document)
        headers = json.dumps(document["headers"], ensure_ascii=False) if document["headers"] else None
        table.writerow(map(_cell, (document | {"headers": headers}).values()))

    return write


def _cell(value: Any) -> Any:
    """A producer's text that a spreadsheet would take for a formula, marked as text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULAS) else value


def _line(stream: TextIO, document: dict[str, Any]) -> None:
    stream.write(json.dumps(document, ensure_ascii=False))
    stream.write("\n")
