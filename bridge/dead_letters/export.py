"""Dead letters whole, as lines of JSON or as CSV."""

import csv
import json
import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, TextIO

from bridge.dead_letters.documents import letter_document
from sinks.postgres.dead_letters.letter import WholeDeadLetter
from telemetry.printable import printable, printable_dumps

# A spreadsheet may separate cells at `;` or a tab, although the file separates them at `,`: then a cell begins after each of
# them, and after a line break. Some spreadsheets take the full-width forms for formulas, too. What is matched is empty, so
# that its replacement is a constant: one with a group is made by Python for each match.
_FORMULA: Final = re.compile(r"""^(?=[\t\r\n])|(?<![^;|\t\r\n])(?=[" ]*[=+\-@\uff1d\uff0b\uff0d\uff20])""")

Write = Callable[[WholeDeadLetter], None]


class Form(StrEnum):
    """How dead letters are written."""

    NDJSON = "ndjson"
    CSV = "csv"


def writer(stream: TextIO, form: Form, *, shown: bool = False) -> Write:
    """Writes dead letters to the stream one by one; a CSV's first line names its columns.

    Lines of JSON hold no character that controls a terminal; a CSV, which has no escapes, holds none if it is `shown`.
    """
    if form is Form.NDJSON:
        return lambda letter: _line(stream, letter_document(letter))
    table = csv.writer(stream, quoting=csv.QUOTE_ALL)
    begun: list[bool] = []

    def write(letter: WholeDeadLetter) -> None:
        document = letter_document(letter)
        if not begun:
            begun.append(True)
            table.writerow(document)
        headers = json.dumps(document["headers"], ensure_ascii=False) if document["headers"] else None
        row = document | {"headers": headers}
        table.writerow(_shown(one) if shown else _cell(one) for one in row.values())

    return write


def _cell(value: Any) -> Any:
    """A producer's text with a mark wherever a spreadsheet would begin a cell with a formula."""
    return _FORMULA.sub("'", value) if isinstance(value, str) else value


def _shown(value: Any) -> str:
    return "" if value is None else printable(str(_cell(value)))


def _line(stream: TextIO, document: dict[str, Any]) -> None:
    stream.write(printable_dumps(document))
    stream.write("\n")
