"""Damages one batch in Kafka's log files, and repairs it: brokers don't verify checksums when they serve a fetch."""

import struct
from pathlib import Path

_HEAD = struct.Struct(">qi")
"""A batch begins with its base offset and the length of the rest."""


def flip_last_byte(directory: Path, offset: int) -> int:
    """Invert the last byte of the batch with this offset in a partition's directory; return the byte's position.

    A second call restores the batch. Raises LookupError if no batch holds the offset.
    """
    segments = [one for one in sorted(directory.glob("*.log")) if int(one.stem) <= offset]
    if not segments:
        raise LookupError(f"no segment in {directory} holds offset {offset}")
    with segments[-1].open("r+b") as log:
        place = _end_of_batch(log.read(), offset) - 1
        log.seek(place)
        (byte,) = log.read(1)
        log.seek(place)
        log.write(bytes([byte ^ 0xFF]))
    return place


def _end_of_batch(content: bytes, offset: int) -> int:
    """Return the end of the last batch whose base offset is not above the offset."""
    position, end = 0, 0
    while position + _HEAD.size <= len(content):
        first, length = _HEAD.unpack_from(content, position)
        if length <= 0 or first > offset:
            break
        position = end = position + _HEAD.size + length
    if not end:
        raise LookupError(f"no batch holds offset {offset}")
    return end
