"""Rows encoded as the body of a COPY statement.

Each row is encoded by C code as one JSON array. Postgres reads it as CSV with a backslash as the escape:
- A JSON array without its brackets is a CSV line: texts are in double quotes, quotes in a text are escaped by a
  backslash, and `null` has no quotes.
- CSV knows only two escapes, for the quote and the backslash. JSON's other escapes are replaced by the characters.
"""

import re
from collections.abc import AsyncIterator, Sequence

import msgspec
from msgspec.structs import astuple

from sinks.cooperative import Turn

OPTIONS = {"format": "csv", "null": "null", "escape": "\\"}
"""The options of the COPY statement."""

# A part fits into the processor's cache. Postgres reads one part while the next part is encoded.
_BYTES = 100_000
# So few that encoding them does not occupy the event loop for long, even if each is as large as an event can be.
_ROWS = 8
_encode_lines = msgspec.json.Encoder().encode_lines
_OTHER_ESCAPE = re.compile(rb'\\[^"]')
_NAMED = ((b"\\n", b"\n"), (b"\\r", b"\r"), (b"\\t", b"\t"), (b"\\b", b"\b"), (b"\\f", b"\f"))
_CONTROLS = {b"%02x" % code: bytes([code]) for code in range(32)}


async def parts(rows: Sequence[msgspec.Struct]) -> AsyncIterator[bytes]:
    """Yield the body of the COPY statement in parts of whole lines, with the columns in the order of the fields.

    Other tasks run between two parts. Raises UnicodeEncodeError for a text with a lone surrogate.
    """
    turn = Turn()
    part: list[bytes] = []
    for start in range(0, len(rows), _ROWS):
        part.append(encoded(rows[start : start + _ROWS]))
        if sum(map(len, part)) >= _BYTES:
            yield b"".join(part)
            part.clear()
            await turn.let_others()
    if part:
        yield b"".join(part)


def encoded(rows: Sequence[msgspec.Struct]) -> bytes:
    """Return whole lines of the COPY statement's body. Raises UnicodeEncodeError for a text with a lone surrogate."""
    lines = _encode_lines(list(map(astuple, rows)))
    # A line break within a text is still escaped here, so an unescaped one ends a row.
    return _plain(b"\n".join([line[1:-1] for line in lines.split(b"\n")]))


def _plain(lines: bytes) -> bytes:
    """Replace all escapes of JSON except those of quote and backslash."""
    if not _OTHER_ESCAPE.search(lines):
        return lines
    # NUL temporarily replaces an escaped backslash. No other NUL occurs, because JSON escapes those of the text.
    lines = lines.replace(b"\\\\", b"\0")
    if _OTHER_ESCAPE.search(lines):
        for escape, plain in _NAMED:
            lines = lines.replace(escape, plain)
        # One pass. To replace each of the 32 escapes takes up to 0.1 ms for a row of 4 KiB.
        before, *escaped = lines.split(b"\\u00")
        lines = before + b"".join([_CONTROLS[text[:2]] + text[2:] for text in escaped])
    return lines.replace(b"\0", b"\\\\")
