"""Damage of a log file: it hits the right batch, and a second flip restores it."""

import struct
from pathlib import Path

import pytest

from tools.faults.segments import flip_last_byte


@pytest.fixture
def partition(tmp_path: Path) -> Path:
    """Make two segments: batches at 0, 5 and 9, and one at 20."""
    batches = {0: 50, 5: 60, 9: 70}
    old = b"".join(struct.pack(">qi", first, length) + bytes(length) for first, length in batches.items())
    (tmp_path / f"{0:020}.log").write_bytes(old)
    (tmp_path / f"{20:020}.log").write_bytes(struct.pack(">qi", 20, 10) + bytes(10))
    return tmp_path


@pytest.mark.parametrize(
    ("offset", "segment", "place"), [(0, 0, 61), (4, 0, 61), (5, 0, 133), (8, 0, 133), (19, 0, 215), (20, 20, 21)]
)
def test_the_batch_of_an_offset_is_damaged_and_mended(partition: Path, offset: int, segment: int, place: int) -> None:
    log = partition / f"{segment:020}.log"
    whole = log.read_bytes()
    assert flip_last_byte(partition, offset) == place
    assert [index for index, byte in enumerate(log.read_bytes()) if byte != whole[index]] == [place]
    assert flip_last_byte(partition, offset) == place
    assert log.read_bytes() == whole


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(LookupError, match="no segment"):
        flip_last_byte(tmp_path, 3)
    (tmp_path / f"{0:020}.log").write_bytes(b"")
    with pytest.raises(LookupError, match="no batch"):
        flip_last_byte(tmp_path, 3)
