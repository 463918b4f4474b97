"""What the ledger keeps of a refused record: all of it, unless it is larger than any event could be."""

import random
from typing import Any

import pytest
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


@pytest.mark.parametrize(
    ("value", "key", "headers"),
    [
        (NOISE, b"key", [("h", b"x")]),
        (b"{", NOISE, [("h", b"x")]),
        (b"{", b"key", [("h", b"x"), ("long", NOISE), ("behind", b"x")]),
        (b"{", b"key", [("h", b"x")] * 700_000),
    ],
    ids=["value", "key", "header", "headers"],
)
def test_of_a_record_that_inflates_to_megabytes_the_beginnings_are_kept(
    value: bytes, key: bytes, headers: list[tuple[str, bytes | None]]
) -> None:
    """100 KB in Kafka must not become megabytes in Postgres; the error says how much there was."""
    row = row_of(value, key, headers)
    kept = ledger.decode_headers(row["headers"])
    assert (row["payload"], row["record_key"]) == (value[: 64 * KIB], key[: 64 * KIB])
    assert kept == headers[: len(kept)]
    assert kept[0] == ("h", b"x")
    assert sum(len(name) + len(content or b"") for name, content in kept) <= 64 * KIB
    assert row["last_error"].endswith(" bytes are kept")
