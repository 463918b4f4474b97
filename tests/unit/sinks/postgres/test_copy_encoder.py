"""The parts in which rows go to Postgres: by number and by length."""

import msgspec
import pytest

from sinks.postgres import copy_encoder


class Row(msgspec.Struct):
    text: str


async def parts_of(rows: list[Row]) -> list[bytes]:
    return [part async for part in copy_encoder.parts(rows)]


@pytest.mark.parametrize(("size", "count"), [(100, 1), (1000, 5), (64 * 1024, 63)])
async def test_long_rows_go_in_smaller_parts(size: int, count: int) -> None:
    """No part holds the event loop for long; joined, the parts are the same rows."""
    rows = [Row(f"{number:0{size}}") for number in range(500)]
    found = await parts_of(rows)
    assert len(found) == count
    assert b"".join(found) == b"".join(b'"%s"\n' % row.text.encode() for row in rows)


async def test_no_rows_make_no_part() -> None:
    assert await parts_of([]) == []


async def test_control_characters_stand_as_themselves() -> None:
    """Text that only looks like an escape is unchanged."""
    text = "".join(map(chr, range(1, 32))) + "\\u0001" + '"'
    (line,) = await parts_of([Row(text)])
    assert line == b'"' + text.replace("\\", "\\\\").replace('"', '\\"').encode() + b'"\n'
