"""Lines on standard output and standard error: the one way out for what commands print, whatever its source.

Tables go out by bridge/output/tables.py, log lines by telemetry/logging.py; a house test finds any other way.
"""

import sys
from io import TextIOWrapper
from typing import TextIO

from telemetry.printable import encodable, printable, printable_json


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
    _write(sys.stdout, printable_json(text, sys.stdout.encoding or "utf-8"))


def take_every_character() -> None:
    """Lets libraries write what the output's encoding lacks, such as help in ASCII: it is written out, and nothing fails."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _write(stream: TextIO, text: str) -> None:
    # A stream without an encoding, such as StringIO, takes every character.
    stream.write(f"{encodable(text, stream.encoding or 'utf-8')}\n")
    stream.flush()
