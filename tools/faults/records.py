"""The records of the load: valid events and every flaw. A record depends on seed, index, flaw and origin alone."""

import json
import random
import zlib
from enum import IntEnum
from typing import NamedTuple

Headers = tuple[tuple[str, bytes | None], ...]

SITES = 20
REFUSED_TYPE = "refused"
"""An event type that Postgres refuses, by a constraint that the campaign adds."""
LATE_BLOCK = 1000
"""Number of indices whose late events share a script, which is registered when the block is over."""
INDEX = "load-index"
OVERSIZE_BYTES = 70 * 1024


class Flaw(IntEnum):
    """The flaw of an event, or NONE."""

    NONE = 0
    DUPLICATE = 1
    """Another body with the identity of an earlier valid event."""
    BROKEN = 2
    VIOLATION = 3
    OVERSIZE = 4
    UNKNOWN = 5
    """Its script is never registered."""
    LATE = 6
    """Its script is registered a little later."""
    REFUSED = 7
    """Postgres refuses its row."""
    COPY = 8
    """A valid event with the identity of a refused one."""


SHARES: dict[Flaw, float] = {
    Flaw.DUPLICATE: 0.05,
    Flaw.BROKEN: 0.01,
    Flaw.VIOLATION: 0.005,
    Flaw.OVERSIZE: 0.0005,
    Flaw.UNKNOWN: 0.002,
    Flaw.LATE: 0.004,
    Flaw.REFUSED: 0.0005,
}
"""The shares of the steady mix; the rest is valid."""

DROPPED_AS = {
    Flaw.BROKEN: "invalid_payload_json",
    Flaw.OVERSIZE: "invalid_payload_json",
    Flaw.VIOLATION: "schema_violation",
    Flaw.UNKNOWN: "retry_exhausted",
    Flaw.REFUSED: "sink_rejected_row",
}


class Record(NamedTuple):
    """One record for the raw topic; `identity` is (site, event_id)."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    partition: int
    identity: tuple[int, str]


def late_script(index: int) -> tuple[str, int]:
    """Return the script of a late event, and its site."""
    block = index // LATE_BLOCK
    return f"late-{block}", 1 + block % SITES


def make_record(
    seed: int, index: int, flaw: Flaw, origin: int | None, *, occurred_at_ms: int, partitions: int
) -> Record:
    """Make the record of this index; `origin` is the index of the event whose identity it has."""
    whose = index if origin is None else origin
    rng = random.Random(f"{seed}:{whose}")
    site, event_id = 1 + rng.randrange(SITES), f"{whose}-{rng.getrandbits(64):016x}"
    script = f"script-{site}"
    if flaw is Flaw.LATE:
        script, site = late_script(index)
    elif flaw is Flaw.UNKNOWN:
        script = "never-registered"
    event: dict[str, object] = {
        "event_id": event_id,
        "site_id": site,
        "script_id": script,
        "event_type": REFUSED_TYPE if flaw is Flaw.REFUSED else "click",
        "occurred_at": occurred_at_ms,
        "url": f"https://shop-{site}.test/p/{index}?utm_source=load",
        "properties": {"index": index},
    }
    key: bytes | None = f"{site}:{event_id}".encode()
    value = _value(flaw, event, index)
    if flaw is Flaw.BROKEN and value is not None and index % 7 == 0:
        key = None
    partition = zlib.crc32(key or b"") % partitions
    if origin is not None and index % 2:
        # As from a producer with other keys: the copies are in two partitions.
        partition = (partition + 1) % partitions
    return Record(key, value, _headers(index), partition, (site, event_id))


def _value(flaw: Flaw, event: dict[str, object], index: int) -> bytes | None:
    if flaw is Flaw.BROKEN:
        variants = (b"{broken", b"\xff\xfe\x00", b'{"site_id": NaN}', b"[" * 1100, b"[]", b"", None, b"1e999")
        return variants[index % len(variants)]
    if flaw is Flaw.VIOLATION:
        field, wrong = (
            ("event_type", ""),
            ("site_id", "one"),
            ("occurred_at", "9999-12-31T23:59:59"),
            ("visitor_id", "a\x00b"),
        )[index % 4]
        event[field] = wrong
    if flaw is Flaw.OVERSIZE:
        event["properties"] = {"index": index, "filler": "x" * OVERSIZE_BYTES}
    return json.dumps(event).encode()


def _headers(index: int) -> Headers:
    headers: list[tuple[str, bytes | None]] = [
        (INDEX, str(index).encode()),
        ("traceparent", f"00-{index:032x}-{index:016x}-01".encode()),
        ("blob", bytes((index + step) % 256 for step in range(24))),
    ]
    if index % 5 == 0:
        headers += [("twice", b"1"), ("nothing", None), ("empty", b""), ("twice", b"2")]
    if index % 10 == 0:
        # On a raw record these headers are plain data of the producer.
        headers += [("bridge-provenance", b"bridge.raw:0:1"), ("bridge-attempt", b"3")]
    return tuple(headers)


def index_of(headers: Headers) -> int | None:
    """Return the index of the record in the journal; None if it is not from the load."""
    for name, value in headers:
        if name == INDEX and value is not None:
            return int(value)
    return None
