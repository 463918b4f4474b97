"""The ledger's copy of a refused record: complete unless larger than any event."""

import random
from typing import Any

from support.events.making import batch, context, process, record

from sinks.postgres.ledger import rows as ledger

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
    """A record that is too long for an event is kept too."""
    row = row_of(NOISE[: MIB - 100], b"key", [("h", b"header"), ("h", None)])
    assert (row["payload"], row["record_key"]) == (NOISE[: MIB - 100], b"key")
    assert ledger.decode_headers(row["headers"]) == [("h", b"header"), ("h", None)]
    assert "kept" not in row["last_error"]


def test_of_a_value_that_inflates_to_megabytes_the_beginning_is_kept() -> None:
    """100 KB in Kafka must not become megabytes in Postgres; the error gives the full size."""
    row = row_of(NOISE, b"key", [("h", b"x")])
    assert (row["payload"], row["record_key"]) == (NOISE[: 64 * KIB], b"key")
    assert ledger.decode_headers(row["headers"]) == [("h", b"x")]
    assert row["last_error"].endswith(f"; only the first 65536 of {len(NOISE)} bytes of its value are kept")


def test_key_and_headers_of_what_may_be_an_event_are_kept_whole() -> None:
    """A replay sends them unchanged."""
    half, few = NOISE[: MIB // 2 - 10], [("h", None)] * 1023
    for key, headers in ((half, [("long", half), ("behind", b"x")]), (b"key", [("h", b"x"), *few])):
        row = row_of(b"{", key, headers)
        assert (row["payload"], row["record_key"]) == (b"{", key)
        assert ledger.decode_headers(row["headers"]) == headers
        assert "kept" not in row["last_error"]


def test_of_very_large_or_very_many_headers_the_beginning_is_kept() -> None:
    """No event has so many; compressed in Kafka they take little space."""
    headers = [("short", b"x"), ("long", NOISE), ("behind", b"x")]
    row = row_of(b"{", NOISE, headers)
    assert (row["payload"], row["record_key"]) == (b"{", NOISE[: 64 * KIB])
    assert ledger.decode_headers(row["headers"]) == [("short", b"x"), ("long", NOISE[: 64 * KIB - 10])]
    whole = 2 * len(NOISE) + len("shortlongbehind") + 2
    assert row["last_error"].endswith(f"; of key and headers, {whole} bytes and 3 headers, only the beginning is kept")
    many = row_of(b"{", b"key", [("", None)] * 1025)
    assert (many["record_key"], ledger.decode_headers(many["headers"])) == (b"key", [("", None)] * 1024)
    assert many["last_error"].endswith("; of key and more than 1024 headers only the beginning is kept")
