"""Lines on standard output and standard error: the one way out for what commands print, whatever its source.

Tables go out by bridge/cli/tables.py, log lines by streams/logs.py; a house test finds any other way.
"""

import sys
from typing import TextIO

from schemas.printable import printable, printable_json


def say(line: str) -> None:
    """Prints one line of progress, a warning or an error, on standard error; a line break in it is written out."""
    _write(sys.stderr, printable(line))


def result(line: str) -> None:
    """Prints one line of a result, on standard output; a line break in it is written out."""
    _write(sys.stdout, printable(line))


def say_error(error: BaseException) -> None:
    """Prints what is wrong, on standard error: a line for each of the error's own."""
    for line in str(error).splitlines() or [type(error).__name__]:
        say(f"error: {line}")


def json_result(text: str) -> None:
    """Prints JSON text, on standard output; what a parser makes of it is the same."""
    _write(sys.stdout, printable_json(text))


def _write(stream: TextIO, text: str) -> None:
    stream.write(f"{text}\n")
    stream.flush()
