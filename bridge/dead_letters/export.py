"""Export of whole dead letters, as lines of JSON or as CSV."""

import csv
import json
import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, TextIO

from bridge.dead_letters.documents import letter_document
from sinks.postgres.dead_letters.letter import WholeDeadLetter
from telemetry.printable import printable, printable_dumps

# The file separates cells with `,`. A spreadsheet may also split at `;`, a tab or a line break, so a cell can begin
# after each of these. Some spreadsheets accept full-width forms in formulas too. The match is empty, so that the
# replacement is a constant, which is faster than one that contains a group.
_FORMULA: Final = re.compile(r"""^(?=[\t\r\n])|(?<![^;|\t\r\n])(?=[" ]*[=+\-@\uff1d\uff0b\uff0d\uff20])""")

Write = Callable[[WholeDeadLetter], None]


class Form(StrEnum):
    """The format of an export."""

    NDJSON = "ndjson"
    CSV = "csv"


def writer(stream: TextIO, form: Form, *, shown: bool = False) -> Write:
    """Return a function that writes one dead letter to the stream.

    The first line of a CSV has the names of the columns.

    Lines of JSON contain no control characters. CSV has no escapes for control characters. If `shown` is True, the
    output is a terminal, and they are replaced by texts such as `\x1b`. Otherwise the CSV has them as they are.
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
    """Return a producer's text for a CSV cell, with an apostrophe wherever a spreadsheet would see a formula begin."""
    return _FORMULA.sub("'", value) if isinstance(value, str) else value


def _shown(value: Any) -> str:
    return "" if value is None else printable(str(_cell(value)))


def _line(stream: TextIO, document: dict[str, Any]) -> None:
    stream.write(printable_dumps(document))
    stream.write("\n")
