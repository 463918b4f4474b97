"""The headers of retry records and dead letters."""

from support.events.making import NOW_MS, RAW, RETRY_1, judged, record
from support.memory.source import MemoryRecord

from schemas.instants import instant
from schemas.kafka.headers import last
from schemas.pipeline.ledger import LedgerState
from schemas.pipeline.record import Provenance, TopicPartition
from sinks.kafka.publisher import copy_headers, copy_of, original_headers


def test_a_retry_record_bears_its_token_and_when_it_is_due() -> None:
    """A retry record has the next attempt, the provenance and the error class, and no dropped reason."""
    (failure,) = judged(record(4, script_id="nowhere", headers=[("traceparent", b"t"), ("a", None)])).failures
    copied = copy_headers(failure)
    assert copied[:2] == [("traceparent", b"t"), ("a", None)]
    said = {name: last(copied, name) for name, _ in copied}
    assert said["bridge-provenance"] == f"{RAW}:0:4"
    assert said["bridge-attempt"] == "2"
    assert said["bridge-due-at"] == str(NOW_MS + 1000)
    assert said["bridge-error-class"] == "unknown_script"
    assert said["x-original-topic"] == RAW
    assert said["bridge-received-at"] == said["bridge-first-failed-at"] == str(NOW_MS)
    assert "bridge-dropped-reason" not in said


def test_a_dead_letter_bears_its_reason_and_the_attempt_that_failed() -> None:
    """A dead letter has no due time; forged headers come before ours, which win."""
    (failure,) = judged(
        record(4, value=b"{", headers={"bridge-dropped-reason": "forged", "bridge-due-at": "1"})
    ).failures
    copied = copy_headers(failure)
    assert last(copied, "bridge-dropped-reason") == "invalid_payload_json"
    assert last(copied, "bridge-attempt") == "1"
    assert [name for name, _ in copied].count("bridge-due-at") == 1
    assert last(copied, "bridge-null") is None


def test_only_what_is_wholly_null_is_marked() -> None:
    """A null value with a key can be written as it is."""
    (whole,) = judged(MemoryRecord(RAW, 0, 0, None, None, NOW_MS)).failures
    (keyed,) = judged(MemoryRecord(RAW, 0, 0, None, b"k", NOW_MS)).failures
    assert last(copy_headers(whole), "bridge-null") == "key,value"
    assert last(copy_headers(keyed), "bridge-null") is None


def test_the_streams_block_is_replaced_at_each_retry() -> None:
    """The producer's headers stay, and the stream's do not accumulate."""
    (first,) = judged(record(4, script_id="nowhere", headers={"bridge-provenance": "forged:0:0", "x": "1"})).failures
    retried = MemoryRecord(RETRY_1, 0, 0, first.attempt.record.value, b"k", NOW_MS, 1, tuple(copy_headers(first)))
    state = LedgerState(1, False, instant(NOW_MS), instant(NOW_MS), None, None, None, None)
    (second,) = judged(retried, ledger={Provenance(RAW, 0, 4): state}).failures
    assert original_headers(second) == [("bridge-provenance", b"forged:0:0"), ("x", b"1")]
    assert len(copy_headers(second)) == len(copy_headers(first))
    assert last(copy_headers(second), "bridge-attempt") == "3"
    assert TopicPartition(second.attempt.record.topic, 0) == (RETRY_1, 0)


def test_a_copy_of_very_many_headers_goes_without_them() -> None:
    """Readers need thirty times their bytes in memory; the ledger keeps the first ones."""
    for count, left_out in ((1024, None), (1025, "headers,0")):
        (failure,) = judged(record(0, b"{!", key=b"k", headers=[("", None)] * count)).failures
        copy = copy_of(failure, "t.dlq", 0)
        assert last(copy.headers, "bridge-omitted") == left_out
        assert (copy.key, copy.value) == (b"k", b"{!")
        assert len(copy.headers) < 1024 + 20 - (0 if left_out is None else 1024)
