"""The mapping of events to Parquet and back: any value of any column comes back as it was, and so do digests and COPY lines."""

import asyncio
import hashlib
import io
from collections.abc import AsyncIterator, Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import Damaged, InvalidInput
from schemas.pipeline.archive import ArchiveColumn
from sinks.archives.copy_lines import line_encoder
from sinks.archives.digests import Values, row_digester
from sinks.archives.parquet import parquet_file, read_rows

COLUMNS = tuple(
    ArchiveColumn(name, kind, True)
    for name, kind in {
        "time": "timestamp with time zone", "big": "bigint", "small": "integer", "flag": "boolean", "text": "text",
        "value": "numeric(21,6)", "document": "jsonb", "other": "double precision",
    }.items()
)  # fmt: skip
FIRST, LAST = -62_135_596_800_000_000, 253_402_300_799_999_999
"""The years 1 to 9999, in microseconds."""
TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    ["", "\\N", "NULL", "\\.", "\t\n\r\\", "\\\\n", "🙂\u2028", " ", "\ufeff", "\x7f\x01"]
)
VALUES: tuple[st.SearchStrategy[Any], ...] = (
    st.integers(FIRST, LAST),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-(2**31), 2**31 - 1),
    st.booleans(),
    TEXTS,
    st.integers(-(10**21) + 1, 10**21 - 1).map(lambda number: Decimal(number).scaleb(-6)),
    TEXTS,
    TEXTS,
)
ROWS = st.lists(st.tuples(*(st.none() | one for one in VALUES)), min_size=1, max_size=8)


async def _file(rows: Sequence[Values]) -> bytes:
    async def batches() -> AsyncIterator[Sequence[Values]]:
        for row in rows:
            yield [row]

    return b"".join([piece async for piece in parquet_file(COLUMNS, batches(), "rows")])


def there_and_back(rows: Sequence[Values]) -> list[Values]:
    content = asyncio.run(_file(rows))
    return [row for batch in read_rows(io.BytesIO(content), COLUMNS, "file") for row in batch]


@settings(max_examples=60)
@given(ROWS)
def test_a_row_comes_back_as_it_was(rows: list[Values]) -> None:
    """All values and NULLs are equal, and so are digests."""
    digest, back = row_digester(COLUMNS), there_and_back(rows)

    assert back == rows
    assert list(map(digest, back)) == list(map(digest, rows))


@settings(max_examples=60)
@given(ROWS, st.data())
def test_another_value_has_another_digest(rows: list[Values], data: st.DataObject) -> None:
    """Also NULL for an empty text, and a text that moves to the column beside it."""
    digest = row_digester(COLUMNS)
    place = data.draw(st.integers(0, len(COLUMNS) - 1))
    row, value = rows[0], data.draw(st.none() | VALUES[place])
    other = (*row[:place], value, *row[place + 1 :])

    assert (digest(other) == digest(row)) == (other == row)
    assert digest((*row[:6], "a", "")) != digest((*row[:6], "", "a"))
    assert len(digest(row)) == hashlib.sha256().digest_size


@settings(max_examples=60)
@given(ROWS)
def test_a_copy_line_has_each_value(rows: list[Values]) -> None:
    """Each row is one line with a field for each column, also with control characters in texts."""
    lines = line_encoder(COLUMNS)(rows).decode()

    assert lines.endswith("\n")
    split = lines[:-1].split("\n")
    assert [line.count("\t") for line in split] == [len(COLUMNS) - 1] * len(rows)
    assert [line.split("\t")[4] == "\\N" for line in split] == [row[4] is None for row in rows]
    assert not any("\r" in line for line in split)


def test_a_value_without_an_equal_is_refused() -> None:
    """The error names the column and its type."""
    with pytest.raises(InvalidInput, match=r"column value \(numeric\(21,6\)\) has a value that Parquet can't keep"):
        there_and_back([(0, 0, 0, True, "", Decimal("NaN"), "", "")])


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1"], ids=["empty", "short", "no footer"])
def test_what_is_no_parquet_file_is_damaged(content: bytes) -> None:
    """The error names the file."""
    with pytest.raises(Damaged, match=r"x\.parquet: the file is damaged"):
        list(read_rows(io.BytesIO(content), COLUMNS, "x.parquet"))
