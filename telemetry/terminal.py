"""Lines on standard output and standard error. Commands print all texts with this module, also texts of others.

Tables are printed by bridge/output/tables.py, log lines by telemetry/logging.py. A house test rejects other ways.
"""

import faulthandler
import sys
from io import TextIOWrapper
from typing import TextIO

from telemetry.printable import encodable, printable, printable_json


def say(line: str) -> None:
    """Print one line of progress, a warning or an error, on standard error. Line breaks in it are escaped."""
    _write(sys.stderr, printable(line))


def result(*lines: str) -> None:
    """Print lines of a result on standard output. Line breaks within a line are escaped."""
    for line in lines:
        _write(sys.stdout, printable(line))


def say_error(error: BaseException) -> None:
    """Print an error on standard error, one line for each line of its message."""
    for line in str(error).splitlines() or [type(error).__name__]:
        say(f"error: {line}")


def json_result(text: str) -> None:
    """Print JSON text on standard output, with unprintable characters escaped. Its value stays the same."""
    _write(sys.stdout, printable_json(text, sys.stdout.encoding or "utf-8"))


def take_every_character() -> None:
    """Make both outputs escape a character that their encoding (ASCII, for example) lacks, instead of raising an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def report_crashes() -> None:
    """Print on standard error what each thread was doing if a signal such as SIGSEGV ends this process."""
    if sys.__stderr__ is not None:
        faulthandler.enable(sys.__stderr__)


def _write(stream: TextIO, text: str) -> None:
    # A stream without an encoding, such as StringIO, accepts every character.
    stream.write(f"{encodable(text, stream.encoding or 'utf-8')}\n")
    stream.flush()
