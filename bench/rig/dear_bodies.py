"""The request bodies with the highest cost for a gateway per byte on the wire, as one visitor can send them."""

import gzip
import json
import time
from typing import NamedTuple

MIB = 1024 * 1024
_EMPTY_GZIP = bytes.fromhex("1f8b0800000000000003")
# An empty block with a code table of its own.
_EMPTY_BLOCK = ((1 << 2, 3), (0, 5), (0, 5), (14, 4), *((int(one in (2, 17)), 3) for one in range(18)),
                (1, 1), (127, 7), (1, 1), (107, 7), (0, 1), (0, 1), (0, 1))  # fmt: skip


class Body(NamedTuple):
    """One body, and the way it is sent."""

    content: bytes
    gzipped: bool = True
    lines: bool = False
    validate: bool = False

    def path(self, script: str) -> str:
        """Return the path it is posted to."""
        return f"/api/bridge/{script}/events" + (":validate" if self.validate else "")

    def headers(self) -> dict[str, str]:
        """Return the request's headers for it."""
        kind = "application/x-ndjson" if self.lines else "application/json"
        return {"content-type": kind} | ({"content-encoding": "gzip"} if self.gzipped else {})


def dear_bodies() -> dict[str, Body]:
    """Return the bodies by name; those with expensive events are valid now, and for no longer than a day."""
    names = [_event(f'"{"k" * 30_000}":[{"1," * 16_900}1]') for _ in range(15)]
    nested = [_event(f'"{"k" * 30_000}":[{("[" * 15 + "]" * 15 + ",") * 1090}1]') for _ in range(15)]
    nul = [one[:-2] + b',"a":"\\u0000"}}' for one in nested]
    decimals = [_event(f'"d":[{"1.25e-3," * 8000}1]') for _ in range(15)]
    middling = [_event(f'"d":[{"[[1.5]],[" * 100}1{"]" * 101}') for _ in range(500)]
    return {
        "half a million numbers": _zipped(_filled(b"[", b"1,", b"1]")),
        "no JSON, strings": _zipped(_filled(b'[NaN,["', b'abcdefghijklmn","', b'"],1]')),
        "no JSON, brackets": _zipped(_filled(b"[NaN,[", b"[[[[abcdefghijklmnopqrstuvwxyz012]]]],", b"1]]")),
        "a bomb": _zipped(b"\0" * (100 * MIB)),
        "blocks of nothing": Body(_EMPTY_GZIP + _blocks(MIB - 1024)),
        "500 objects of nothing": Body(b"[" + b",".join([b"{}"] * 500) + b"]", gzipped=False),
        "15 long names": _array(names),
        "15 nested": _array(nested),
        "15 nested, refused": _array(nul),
        "15 lists of decimals": _array(decimals),
        "500 middling": _array(middling),
        "validate: 15 nested": _array(nested)._replace(validate=True),
        "validate: 500 middling": _array(middling)._replace(validate=True),
        "half a million lines": _zipped(_filled(b"", b"1\n"))._replace(lines=True),
    }


def _event(properties: str) -> bytes:
    sound = {"event_type": "a", "occurred_at": time.time_ns() // 1_000_000}
    return json.dumps(sound, separators=(",", ":")).encode()[:-1] + b',"properties":{' + properties.encode() + b"}}"


def _array(events: list[bytes]) -> Body:
    return _zipped(b"[" + b",".join(events) + b"]")


def _zipped(content: bytes) -> Body:
    return Body(gzip.compress(content, 9, mtime=0))


def _filled(before: bytes, unit: bytes, after: bytes = b"") -> bytes:
    return before + unit * ((MIB - len(before) - len(after)) // len(unit)) + after


def _blocks(size: int) -> bytes:
    """Return Deflate's empty blocks, bit by bit."""
    value = length = 0
    for bits, width in _EMPTY_BLOCK:
        value |= bits << length
        length += width
    # Eight of them end on a byte boundary.
    eight = sum(value << (length * number) for number in range(8)).to_bytes(length, "little")
    return eight * (size // len(eight))
