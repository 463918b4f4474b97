"""Rows as the body of a COPY: JSON lines, encoded in C, which Postgres reads as CSV with a backslash as the escape.

A JSON array without its brackets is a CSV line: texts in double quotes, with inner quotes escaped by a backslash, and
`null` without quotes. CSV has no other escapes than quote and backslash, so JSON's others are replaced.
"""

import re
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import accumulate

import msgspec
from msgspec.structs import astuple

from sinks.cooperative import Turn

OPTIONS = {"format": "csv", "null": "null", "escape": "\\"}
"""The options of COPY for these lines."""

# About 100 kB together: they stay in the processor's cache, and Postgres reads one part while the next is encoded.
_ROWS = 200
# Parts of long rows have fewer of them, so as not to block the event loop for long.
_BYTES = 256 * 1024
_encode_lines = msgspec.json.Encoder().encode_lines
_OTHER_ESCAPE = re.compile(rb'\\[^"]')
_NAMED = ((b"\\n", b"\n"), (b"\\r", b"\r"), (b"\\t", b"\t"), (b"\\b", b"\b"), (b"\\f", b"\f"))
_CONTROLS = tuple((b"\\u%04x" % code, bytes([code])) for code in range(32))


async def parts(rows: Sequence[msgspec.Struct], sizes: Sequence[int]) -> AsyncIterator[bytes]:
    """Yield the body in parts of whole lines, columns in field order; raises UnicodeEncodeError for a lone surrogate.

    `sizes` are the approximate bytes of each row. Other tasks run between two parts.
    """
    turn = Turn()
    for start, end in _spans(sizes):
        lines = _encode_lines(list(map(astuple, rows[start:end])))
        # Line breaks within a text are escaped, so a plain one ends a row.
        yield _plain(b"\n".join([line[1:-1] for line in lines.split(b"\n")]))
        await turn.let_others()


def _spans(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the bounds of each part: after _ROWS, or where the next row would make it longer than _BYTES."""
    start = 0
    while start < len(sizes):
        end = min(start + _ROWS, len(sizes))
        if sum(sizes[start:end]) > _BYTES:
            end = start + max(1, bisect_right(list(accumulate(sizes[start:end])), _BYTES))
        yield start, end
        start = end


def _plain(lines: bytes) -> bytes:
    """Return the lines with no escapes except those of quote and backslash."""
    if not _OTHER_ESCAPE.search(lines):
        return lines
    # NUL temporarily replaces an escaped backslash; JSON escapes every NUL of the text itself.
    lines = lines.replace(b"\\\\", b"\0")
    if _OTHER_ESCAPE.search(lines):
        for escape, plain in _NAMED:
            lines = lines.replace(escape, plain)
        if b"\\u00" in lines:
            for escape, plain in _CONTROLS:
                lines = lines.replace(escape, plain)
    return lines.replace(b"\0", b"\\\\")
