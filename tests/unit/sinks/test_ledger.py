"""What the ledger keeps of a refused record: all of it, unless it is larger than any event could be."""

import random
from typing import Any

from support.making import batch, context, record

from sinks import ledger
from streams.processor import process

KIB = 1024
MIB = 1024 * KIB
NOISE = random.Random(1).randbytes(3 * MIB)


def row_of(
    value: bytes, key: bytes | None = None, headers: list[tuple[str, bytes | None]] | None = None
) -> dict[str, Any]:
    """The row of a record that the stream refuses."""
    (failure,) = process(batch(record(0, value, key=key, headers=headers or [])), context()).failures
    return dict(zip(ledger.COLUMNS, ledger.row(failure), strict=True))


def test_a_refused_record_is_kept_whole() -> None:
    """Also one that is no event for its length."""
    row = row_of(NOISE[: MIB - 100], b"key", [("h", b"header"), ("h", None)])
    assert (row["payload"], row["record_key"]) == (NOISE[: MIB - 100], b"key")
    assert ledger.decode_headers(row["headers"]) == [("h", b"header"), ("h", None)]
    assert "kept" not in row["last_error"]


def test_of_a_value_that_inflates_to_megabytes_the_beginning_is_kept() -> None:
    """100 KB in Kafka must not become megabytes in Postgres; the error says how much there was."""
    row = row_of(NOISE, b"key", [("h", b"x")])
    assert (row["payload"], row["record_key"]) == (NOISE[: 64 * KIB], b"key")
    assert ledger.decode_headers(row["headers"]) == [("h", b"x")]
    assert row["last_error"].endswith(f"; 65536 of {len(NOISE)} bytes of its value are kept")


def test_key_and_headers_of_what_may_be_an_event_are_kept_whole() -> None:
    """A replay sends them as they came."""
    row = row_of(b"{", NOISE, [("long", NOISE), ("behind", b"x")])
    assert (row["payload"], row["record_key"]) == (b"{", NOISE)
    assert ledger.decode_headers(row["headers"]) == [("long", NOISE), ("behind", b"x")]
