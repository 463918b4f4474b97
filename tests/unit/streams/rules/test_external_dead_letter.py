"""External dead letters: the raw record is restored unchanged."""

import pytest
from support.events.making import record

from schemas.instants import instant
from schemas.pipeline.outcome import Attempt, Failure
from schemas.pipeline.record import Provenance
from schemas.reasons import DroppedReason, ErrorClass
from sinks.kafka.publisher import copy_headers
from streams.rules.external_dead_letter import original

OWN = [("a", b"1"), ("traceparent", None), ("a", b"2")]
SPRING = [
    ("kafka_dlt-original-topic", b"orders"), ("kafka_dlt-original-partition", (3).to_bytes(4)),
    ("kafka_dlt-original-offset", (77).to_bytes(8)), ("kafka_dlt-exception-message", b"no"),
]  # fmt: skip
CONNECT = [
    ("__connect.errors.topic", b"orders"), ("__connect.errors.partition", b"3"), ("__connect.errors.offset", b"77"),
]  # fmt: skip


@pytest.mark.parametrize("added", [SPRING, CONNECT])
def test_what_spring_and_connect_added_goes(added: list[tuple[str, bytes | None]]) -> None:
    """Their headers are removed, the partition is read, and the other headers keep their order."""
    found = original(record(value=b"v", key=b"k", headers=[*OWN, *added]))
    assert (found.key, found.value, list(found.headers), found.partition) == (b"k", b"v", OWN, 3)
    assert found.provenance is None


@pytest.mark.parametrize("odd", [b"", b"-1", b"x", b"\x00\x00\x03", b"2147483648", b"9" * 5000], ids=range(6))
def test_a_partition_that_cannot_be_read_is_nobodys(odd: bytes) -> None:
    """The record's key then decides the partition."""
    for name in ("kafka_dlt-original-partition", "__connect.errors.partition"):
        assert original(record(headers=[(name, odd)])).partition is None


def test_a_dead_letter_of_our_own_names_its_provenance() -> None:
    """The provenance finds the ledger row; the raw event's headers come before ours."""
    raw = record(5, value=b"v", headers=OWN)
    failure = Failure(
        Attempt(raw, Provenance("t.raw", 1, 5), 1, instant(0), 0, 0), ErrorClass.SCHEMA_VIOLATION, "no",
        dropped_reason=DroppedReason.SCHEMA_VIOLATION,
    )  # fmt: skip
    found = original(record(value=b"v", headers=copy_headers(failure)))
    assert (found.provenance, found.partition, list(found.headers)) == (Provenance("t.raw", 1, 5), 1, OWN)
    assert found.is_whole
    assert not original(record(headers=[*copy_headers(failure), ("bridge-omitted", b"value,9")])).is_whole
