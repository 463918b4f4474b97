"""The parts in which rows go to Postgres: by number and by length."""

import msgspec
import pytest

from sinks.postgres import copy_encoder


class Row(msgspec.Struct):
    text: str


async def parts_of(rows: list[Row], sizes: list[int]) -> list[bytes]:
    return [part async for part in copy_encoder.parts(rows, sizes)]


@pytest.mark.parametrize(("size", "count"), [(100, 3), (64 * 1024, 125), (1024 * 1024, 500)])
async def test_long_rows_go_in_smaller_parts(size: int, count: int) -> None:
    """No part holds the event loop for long; joined, the parts are the same rows."""
    rows = [Row(str(number)) for number in range(500)]
    found = await parts_of(rows, [size] * 500)
    assert len(found) == count
    assert b"".join(found) == b"".join(b'"%d"\n' % number for number in range(500))


async def test_a_long_row_among_short_ones_ends_a_part() -> None:
    """Earlier rows go in a part of their own."""
    found = await parts_of([Row("a"), Row("b"), Row("c")], [10, 300_000, 10])
    assert found == [b'"a"\n', b'"b"\n', b'"c"\n']


async def test_control_characters_stand_as_themselves() -> None:
    """Text that only looks like an escape is unchanged."""
    text = "".join(map(chr, range(1, 32))) + "\\u0001" + '"'
    (line,) = await parts_of([Row(text)], [10])
    assert line == b'"' + text.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"\n'
