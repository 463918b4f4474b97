"""Rows as the body of a COPY: JSON lines, written in C, which Postgres reads as CSV with a backslash for an escape.

A JSON array without its brackets is a CSV line: texts in double quotes, whose own are escaped by a backslash, `null`
without quotes. What JSON escapes beyond quote and backslash stands as itself in CSV.
"""

import re
from bisect import bisect_right
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import accumulate

import msgspec
from msgspec.structs import astuple

from sinks.cooperative import Turn

OPTIONS = {"format": "csv", "null": "null", "escape": "\\"}
"""What COPY has to be told about these lines."""

# Together about 100 kB: they stay in the processor's cache, and Postgres reads one part while the next is made.
_ROWS = 200
# Rows of long values are fewer, so that no part holds the event loop for long.
_BYTES = 256 * 1024
_encode_lines = msgspec.json.Encoder().encode_lines
_OTHER_ESCAPE = re.compile(rb'\\[^"]')
_NAMED = ((b"\\n", b"\n"), (b"\\r", b"\r"), (b"\\t", b"\t"), (b"\\b", b"\b"), (b"\\f", b"\f"))
_CONTROLS = tuple((b"\\u%04x" % code, bytes([code])) for code in range(32))


async def parts(rows: Sequence[msgspec.Struct], sizes: Sequence[int]) -> AsyncIterator[bytes]:
    """The body in parts of whole lines, columns in the order of the fields; UnicodeEncodeError for a lone surrogate.

    `sizes` says about how many bytes each row takes. Between two parts others have their turn.
    """
    turn = Turn()
    for start, end in _spans(sizes):
        lines = _encode_lines(list(map(astuple, rows[start:end])))
        # A line break within a text is escaped, so that one as it is ends a row.
        yield _plain(b"\n".join([line[1:-1] for line in lines.split(b"\n")]))
        await turn.let_others()


def _spans(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Where each part begins and ends: after _ROWS, or where the next row would make it longer than _BYTES."""
    start = 0
    while start < len(sizes):
        end = min(start + _ROWS, len(sizes))
        if sum(sizes[start:end]) > _BYTES:
            end = start + max(1, bisect_right(list(accumulate(sizes[start:end])), _BYTES))
        yield start, end
        start = end


def _plain(lines: bytes) -> bytes:
    """The lines with no escapes but those of quote and backslash."""
    if not _OTHER_ESCAPE.search(lines):
        return lines
    # NUL stands for an escaped backslash meanwhile; JSON escapes a NUL of the text's own.
    lines = lines.replace(b"\\\\", b"\0")
    if _OTHER_ESCAPE.search(lines):
        for escape, plain in _NAMED:
            lines = lines.replace(escape, plain)
        if b"\\u00" in lines:
            for escape, plain in _CONTROLS:
                lines = lines.replace(escape, plain)
    return lines.replace(b"\0", b"\\\\")
