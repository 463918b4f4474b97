"""Rows as the body of a COPY: JSON lines, written in C, which Postgres reads as CSV with a backslash for an escape.

A JSON array without its brackets is a CSV line: texts in double quotes, whose own are escaped by a backslash, `null`
without quotes. What JSON escapes beyond quote and backslash stands as itself in CSV.
"""

import re
from collections.abc import AsyncIterator, Sequence

import msgspec
from msgspec.structs import astuple

OPTIONS = {"format": "csv", "null": "null", "escape": "\\"}
"""What COPY has to be told about these lines."""

# Together about 100 kB: they stay in the processor's cache, and Postgres reads one part while the next is made.
_ROWS = 200
_encode_lines = msgspec.json.Encoder().encode_lines
_OTHER_ESCAPE = re.compile(rb'\\[^"]')
_CONTROL = re.compile(rb"\\u00([0-9a-f]{2})")
_NAMED = ((b"\\n", b"\n"), (b"\\r", b"\r"), (b"\\t", b"\t"), (b"\\b", b"\b"), (b"\\f", b"\f"))


async def parts(rows: Sequence[msgspec.Struct]) -> AsyncIterator[bytes]:
    """The body in parts of whole lines, columns in the order of the fields; UnicodeEncodeError for a lone surrogate."""
    for start in range(0, len(rows), _ROWS):
        lines = _encode_lines(list(map(astuple, rows[start : start + _ROWS])))
        # A line break within a text is escaped, so that one as it is ends a row.
        yield _plain(b"\n".join([line[1:-1] for line in lines.split(b"\n")]))


def _plain(lines: bytes) -> bytes:
    """The lines with no escapes but those of quote and backslash."""
    if not _OTHER_ESCAPE.search(lines):
        return lines
    # NUL stands for an escaped backslash meanwhile; JSON escapes a NUL of the text's own.
    lines = lines.replace(b"\\\\", b"\0")
    if _OTHER_ESCAPE.search(lines):
        for escape, plain in _NAMED:
            lines = lines.replace(escape, plain)
        lines = _CONTROL.sub(lambda found: bytes.fromhex(found[1].decode()), lines)
    return lines.replace(b"\0", b"\\\\")
