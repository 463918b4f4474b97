"""Processing a batch to its outcomes, with a fixed clock."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from support.events.making import (
    NOW_MS,
    POLICY,
    RAW,
    REGISTRY,
    RETRY_1,
    RETRY_2,
    batch,
    body,
    context,
    failed_as,
    judged,
    process,
    record,
)
from support.events.sealed import KEYS, gateway_headers
from support.memory.source import MemoryRecord

from schemas.events.raw_event import MAX_BYTES
from schemas.instants import instant, to_epoch_ms
from schemas.kafka.gateway_proof import ProofKeys
from schemas.pipeline.ledger import LedgerState, record_digest
from schemas.pipeline.outcome import Outcomes
from schemas.pipeline.record import Provenance, RawBody, TopicPartition
from schemas.pipeline.sender import Sender
from schemas.reasons import DroppedReason, ErrorClass
from sinks.kafka.publisher import original_headers
from streams.pipeline.processor import processing

RETRY = TopicPartition(RETRY_1, 0)
ORIGIN = Provenance(RAW, 0, 3)
THEN = datetime.fromtimestamp(NOW_MS / 1000, UTC) - timedelta(hours=1)
REPLAY_ID = "6f2d1e34-8a53-4a57-9d0b-0d5a3c0f8f11"
PAUSED = REGISTRY | {"shop": REGISTRY["shop"]._replace(paused=True)}
DAY_MS = 24 * 60 * 60 * 1000


def waiting(retries: int = 1, **changed: Any) -> LedgerState:
    return LedgerState(retries, False, THEN, THEN, None, None, None, None)._replace(**changed)


def claimed(**changed: Any) -> LedgerState:
    return LedgerState(0, True, THEN, THEN, "claimed", REPLAY_ID, None, None)._replace(**changed)


def retry(offset: int = 0, of: Provenance = ORIGIN, attempt: int = 2, **given: Any) -> MemoryRecord:
    headers = {"bridge-provenance": str(of), "bridge-attempt": str(attempt)}
    return record(offset, source=RETRY, headers=headers, **given)


@pytest.mark.parametrize(
    ("given", "error_class", "reason"),
    [
        ({"value": b"{"}, ErrorClass.INVALID_PAYLOAD_JSON, DroppedReason.INVALID_PAYLOAD_JSON),
        ({"site_id": "x"}, ErrorClass.SCHEMA_VIOLATION, DroppedReason.SCHEMA_VIOLATION),
        ({"site_id": 2}, ErrorClass.SCHEMA_VIOLATION, DroppedReason.SCHEMA_VIOLATION),
        ({"script_id": "nowhere"}, ErrorClass.UNKNOWN_SCRIPT, None),
        ({"schema_version": 9}, ErrorClass.UNSUPPORTED_SCHEMA_VERSION, None),
    ],
)
def test_the_error_table(given: dict[str, Any], error_class: ErrorClass, reason: DroppedReason | None) -> None:
    """A fatal error has its reason; a retryable one has a topic and a due time."""
    (failure,) = judged(record(0, **given)).failures
    assert (failure.error_class, failure.dropped_reason) == (error_class, reason)
    retried = (RETRY_1, NOW_MS + 1000) if reason is None else (None, None)
    assert (failure.retry_topic, failure.due_at_ms) == retried
    assert failure.has_dead_letter == (reason is not None)
    assert (failure.attempt.provenance, failure.attempt.number) == (Provenance(RAW, 0, 0), 1)
    assert (failure.attempt.minute, failure.attempt.first_failed_at_ms) == (NOW_MS // 60_000, NOW_MS)
    assert failure.attempt.received_at == instant(NOW_MS)


def test_each_record_has_one_outcome_in_order() -> None:
    """Candidates and failures keep the order of their offsets."""
    outcomes = judged(record(0), record(1, value=b"{"), record(2, event_id="b"), record(3, site_id=None))
    assert [one.attempt.record.offset for one in outcomes.candidates] == [0, 2]
    assert [one.attempt.record.offset for one in outcomes.failures] == [1, 3]
    assert outcomes.stale == 0


def test_a_key_that_is_known_is_a_duplicate_without_a_look_up() -> None:
    """The cache decides alone because it holds only persisted keys."""
    (candidate,) = judged(record(0)).candidates
    outcomes = judged(record(1), known={candidate.key})
    assert failed_as(outcomes) == [ErrorClass.DUPLICATE_EVENT_ID]
    assert not outcomes.failures[0].has_dead_letter


def test_equal_keys_of_one_batch_are_both_candidates() -> None:
    """The commit picks the first after any bisecting."""
    assert len(judged(record(0), record(1)).candidates) == 2


def test_tries_used_up() -> None:
    """The last failure is retry_exhausted, with the last error's class."""
    (failure,) = judged(retry(attempt=3, script_id="nowhere"), ledger={ORIGIN: waiting(2)}).failures
    assert (failure.dropped_reason, failure.error_class) == (DroppedReason.RETRY_EXHAUSTED, ErrorClass.UNKNOWN_SCRIPT)
    assert failure.retry_topic is None


@pytest.mark.parametrize("given", [{"key": bytes(65_000)}, {"headers": [("a", bytes(65_000)), ("b" * 500, None)]}])
def test_what_has_a_large_key_or_headers_is_not_retried(given: dict[str, Any]) -> None:
    """64 KiB are retried and one byte more is a dead letter; drops and persisted events are unaffected."""
    least = 65_536 - 65_000
    beside = [*given.get("headers", ()), ("x" * (least - (501 if "headers" in given else 0)), None)]
    raw = record(script_id="nowhere")
    for extra, retried in ((b"", True), (b"1", False)):
        headers = [*beside, ("", extra)]
        one = MemoryRecord(RAW, 0, 0, raw.value, given.get("key"), NOW_MS, 1, tuple(headers))
        (failure,) = process(batch(one), context()).failures
        assert (failure.retry_topic is not None) == retried
    assert failure.dropped_reason is DroppedReason.RETRY_EXHAUSTED
    assert failure.error.endswith("not retried: key and headers have 65537 bytes, of which a retry carries 65536")


def test_what_has_very_many_headers_is_not_retried() -> None:
    """Empty headers have no bytes but take memory."""
    raw = record(script_id="nowhere")
    for headers, retried in ((1024, True), (1025, False)):
        one = MemoryRecord(RAW, 0, 0, raw.value, None, NOW_MS, 1, (("", None),) * headers)
        (failure,) = process(batch(one), context()).failures
        assert (failure.retry_topic is not None) == retried
    assert failure.error.endswith("not retried: it has more than 1024 headers, the most that a retry carries")


@pytest.mark.parametrize("wait", ["unknown key", "paused", "paused, at a later attempt"])
@pytest.mark.parametrize("length", [MAX_BYTES, MAX_BYTES + 1])
def test_what_is_longer_than_any_event_waits_for_nothing(wait: str, length: int) -> None:
    """A too long event is dropped on the first attempt; a retry lane would hold many of them in memory."""
    value = bytes(length)
    keys = ProofKeys([b"another key"]) if wait == "unknown key" else KEYS
    given: dict[str, Any] = {} if wait == "unknown key" else {"registry": PAUSED}
    headers = gateway_headers(value, keys=keys)
    one = record(value=value, headers=headers)
    if wait.endswith("attempt"):
        kept = RawBody(None, value, headers)
        given["ledger"] = {ORIGIN: waiting(body=kept, sender=Sender.SERVER, site_id=1, script_id="shop")}
        one = retry()

    (failure,) = judged(one, **given).failures

    if length == MAX_BYTES:
        assert (failure.dropped_reason, failure.retry_topic is None) == (None, False)
    else:
        assert (failure.dropped_reason, failure.retry_topic) == (DroppedReason.INVALID_PAYLOAD_JSON, None)
        assert failure.error_class is ErrorClass.INVALID_PAYLOAD_JSON
        assert failure.error == f"{length} bytes, more than {MAX_BYTES}"


def test_a_retry_keeps_its_provenance_and_first_times() -> None:
    """The first received_at bounds occurred_at; the window is that of the retry's own record."""
    (candidate,) = judged(retry(occurred_at=to_epoch_ms(THEN)), ledger={ORIGIN: waiting()}).candidates
    assert (candidate.event.provenance, candidate.event.attempt) == (ORIGIN, 2)
    assert candidate.event.received_at == THEN
    assert candidate.attempt.minute == NOW_MS // 60_000
    again = judged(retry(script_id="nowhere"), ledger={ORIGIN: waiting()}, now_ms=NOW_MS + 500).failures[0]
    assert (again.retry_topic, again.due_at_ms) == (RETRY_2, NOW_MS + 2500)
    assert (again.attempt.received_at, again.attempt.first_failed_at_ms) == (THEN, to_epoch_ms(THEN))


@pytest.mark.parametrize(
    ("attempt", "state"),
    [
        (2, None),
        (1, waiting()),
        (3, waiting()),
        (0, waiting()),
        (2, waiting(finished=True)),
        (1, waiting(0, finished=True)),
    ],
)
def test_a_token_that_the_ledger_does_not_await_is_stale(attempt: int, state: LedgerState | None) -> None:
    """A token without a row, of another attempt or of a finished row is stale."""
    ledger = {} if state is None else {ORIGIN: state}
    outcomes = judged(retry(attempt=attempt), ledger=ledger)
    assert (outcomes.stale, outcomes.candidates, outcomes.failures) == (1, [], [])


@pytest.mark.parametrize(
    "headers",
    [[], [("bridge-attempt", b"2")], [("bridge-provenance", b"rubbish"), ("bridge-attempt", b"2")],
     [("bridge-provenance", b"\xff"), ("bridge-attempt", b"2")], [("bridge-provenance", b"t.raw:0:3"), ("bridge-attempt", b"x")],
     [("bridge-provenance", b"t.raw:0:" + b"9" * 5000), ("bridge-attempt", b"2")]],
)  # fmt: skip
def test_a_retry_record_without_a_readable_token_is_stale(headers: list[tuple[str, bytes]]) -> None:
    """A record that is written directly to a retry topic has no effect."""
    assert judged(record(0, source=RETRY, headers=headers), ledger={ORIGIN: waiting()}).stale == 1


def test_a_second_copy_is_stale_in_the_batch_and_in_the_settlement() -> None:
    """A copy in another partition of the same commit is stale too."""
    judged_by = context(ledger={ORIGIN: waiting()})
    first = process(batch(retry(0), retry(1)), judged_by)
    elsewhere = MemoryRecord(RETRY_2, 0, 0, retry().value, b"k", NOW_MS, 1, retry().headers)
    second = process(batch(elsewhere), judged_by)
    assert (len(first.candidates), first.stale, second.stale) == (1, 1, 1)


def replaying(offset: int = 0, replay_id: str = REPLAY_ID, of: str = str(ORIGIN), **given: Any) -> MemoryRecord:
    return record(offset, headers={"bridge-replay-id": replay_id, "bridge-replay-of": of}, **given)


def test_a_claimed_replay_keeps_the_first_received_at() -> None:
    """A replay has a provenance of its own and is judged by the original time."""
    (candidate,) = judged(replaying(occurred_at=to_epoch_ms(THEN)), ledger={ORIGIN: claimed()}).candidates
    assert candidate.attempt.replay == (REPLAY_ID, ORIGIN)
    assert candidate.event.provenance == Provenance(RAW, 0, 0)
    assert candidate.event.received_at == THEN


@pytest.mark.parametrize(
    ("ledger", "given"),
    [
        ({}, {}),
        ({ORIGIN: claimed(replay_id=None, disposition="open")}, {}),
        ({ORIGIN: claimed()}, {"replay_id": "another"}),
        ({ORIGIN: claimed()}, {"of": "rubbish"}),
        ({ORIGIN: claimed()}, {"of": "a\x00b:0:0"}),
        ({ORIGIN: claimed()}, {"of": ""}),
    ],
)
def test_a_replay_that_the_ledger_does_not_bear_out_is_plain_data(ledger: Any, given: dict[str, str]) -> None:
    """A forged or outdated replay counts as a new event."""
    (candidate,) = judged(replaying(**given), ledger=ledger).candidates
    assert candidate.attempt.replay is None
    assert to_epoch_ms(candidate.event.received_at) == NOW_MS


@pytest.mark.parametrize(
    "changed", [{"replayed_as": "t.raw:0:9"}, {"disposition": "replayed"}, {"disposition": "open"}]
)
def test_the_second_copy_of_a_replayed_item_is_stale(changed: dict[str, str]) -> None:
    """A replay id is stale once its row has a successor or its claim is cancelled."""
    assert judged(replaying(), ledger={ORIGIN: claimed(**changed)}).stale == 1


def test_two_copies_of_a_replay_in_one_settlement() -> None:
    """The first copy counts, whichever partition holds the second."""
    judged_by = context(ledger={ORIGIN: claimed()})
    first = process(batch(replaying(0), replaying(1)), judged_by)
    copy = replaying()
    other = process(batch(MemoryRecord(RAW, 1, 0, copy.value, b"k", NOW_MS, 1, copy.headers)), judged_by)
    assert (len(first.candidates), first.stale, other.stale) == (1, 1, 1)


def test_a_retry_of_a_replay_counts_as_replay() -> None:
    """A replay's retry counts in the window of replays."""
    (candidate,) = judged(retry(), ledger={ORIGIN: waiting(replay_of="t.raw:0:1")}).candidates
    assert candidate.attempt.replay is not None


@pytest.mark.parametrize("changed", [{"event_type": "purchase"}, {"key": b"other"}, {"value": b"{}"}])
def test_only_the_record_that_a_replay_sends_has_its_claim(changed: dict[str, Any]) -> None:
    """A claim that is copied to another record is plain data, without class and site."""
    sent = replaying(0)
    state = claimed(
        replay_digest=record_digest(sent.key, sent.value, sent.headers),
        sender=Sender.SERVER,
        site_id=1,
        script_id="shop",
    )
    known = {ORIGIN: state}

    (own,) = judged(sent, ledger=known).candidates
    forged = judged(replaying(0, **changed), ledger=known)

    assert own.attempt.replay is not None
    assert own.event.sender is Sender.SERVER
    for one in (*forged.candidates, *forged.failures):
        assert one.attempt.replay is None
        assert (one.event.sender if hasattr(one, "event") else one.sender) is Sender.DIRECT


def test_forged_headers_on_raw_are_plain_data() -> None:
    """Only the ledger holds attempts, so no header changes a first attempt."""
    forged = {
        "bridge-provenance": "t.raw:0:99",
        "bridge-attempt": "3",
        "bridge-due-at": "1",
        "bridge-dropped-reason": "x",
    }
    outcomes = judged(record(5, headers=forged), ledger={Provenance(RAW, 0, 99): waiting(2)})
    assert outcomes.candidates[0].event.provenance == Provenance(RAW, 0, 5)
    assert outcomes.candidates[0].event.attempt == 1


@pytest.mark.parametrize(
    ("said", "kept"),
    [("-5", False), ("x", False), (str(NOW_MS - 5 * 60_000), True), (str(NOW_MS - 5 * 60_000 - 1), False),
     (str(NOW_MS + 5 * 60_000), True), (str(NOW_MS + 5 * 60_000 + 1), False), ("9" * 19, False)],
)  # fmt: skip
def test_the_gateways_received_at_is_kept_near_the_records(said: str, kept: bool) -> None:
    """The two differ by at most 5 minutes, and the window is always the record's."""
    headers = [("bridge-received-at", said.encode()), *gateway_headers(body())]
    (candidate,) = judged(record(0, headers=headers)).candidates
    assert to_epoch_ms(candidate.event.received_at) == (int(said) if kept else NOW_MS)
    assert candidate.attempt.minute == NOW_MS // 60_000


def test_the_gateway_fills_and_contradicts() -> None:
    """The processor applies the gateway's values as decode does."""
    value = body(event_id=...)
    filled = judged(record(0, value, headers=gateway_headers(value, event_id="given")))
    assert filled.candidates[0].event.event_id == "given"
    conflict = judged(record(0, headers=gateway_headers(body(), script_id="blog")))
    assert failed_as(conflict) == [ErrorClass.SCHEMA_VIOLATION]


@pytest.mark.parametrize(
    ("timestamp", "held"),
    [(0, NOW_MS - 7 * DAY_MS), (-1, NOW_MS - 7 * DAY_MS), (NOW_MS - 7 * DAY_MS, None), (NOW_MS + 5 * 60_000, None),
     (NOW_MS + 5 * 60_000 + 1, NOW_MS + 5 * 60_000), (2**63 - 1, NOW_MS + 5 * 60_000), (NOW_MS - 1000, None)],
)  # fmt: skip
def test_a_producers_time_is_held_near_now_and_counted(timestamp: int, held: int | None) -> None:
    """Window and received_at use the clamped time; a time within the limits is kept and not counted."""
    expected = timestamp if held is None else held
    outcomes = judged(record(0, timestamp=timestamp, timestamp_type=0, occurred_at=expected))
    (candidate,) = outcomes.candidates
    assert to_epoch_ms(candidate.event.received_at) == expected
    assert candidate.attempt.minute == expected // 60_000
    assert outcomes.clamped == (held is not None)


def test_the_brokers_time_is_taken_as_it_is() -> None:
    """A batch that is committed late falls into the same window."""
    late = judged(record(0), now_ms=NOW_MS + 30 * DAY_MS)
    assert (late.candidates[0].attempt.minute, late.clamped) == (NOW_MS // 60_000, 0)


def test_a_rejected_event_says_whose_it_was() -> None:
    """The failure carries the identity for the ledger and the windows."""
    (failure,) = judged(record(0, event_type="")).failures
    assert (failure.site_id, failure.script_id, failure.event_id) == (1, "shop", "e-1")
    (nobody,) = judged(record(0, value=b"{")).failures
    assert (nobody.site_id, nobody.script_id, nobody.event_id) == (None, None, None)


def test_no_retries_declared_drops_at_once() -> None:
    """With max_retries 0 the first failure is a drop."""
    (failure,) = judged(record(0, script_id="off"), policy=POLICY._replace(max_retries=0)).failures
    assert failure.dropped_reason is DroppedReason.RETRY_EXHAUSTED


def test_a_forged_retry_record_cannot_change_what_is_tried() -> None:
    """The attempt uses the ledger's body; the record only gives the attempt's number."""
    kept = RawBody(b"own", record(0, event_id="own").value, [("theirs", b"1")])
    forged = retry(event_id="forged")
    (candidate,) = process(batch(forged), context(ledger={ORIGIN: waiting(body=kept)})).candidates
    assert (candidate.event.event_id, candidate.attempt.record.key) == ("own", b"own")
    dead = kept._replace(value=b"{")
    (failure,) = process(batch(forged), context(ledger={ORIGIN: waiting(body=dead)})).failures
    assert (failure.attempt.record.value, failure.dropped_reason) == (b"{", DroppedReason.INVALID_PAYLOAD_JSON)
    assert original_headers(failure) == [("theirs", b"1")]


def test_an_invented_site_makes_no_window() -> None:
    """Only registered sites have windows, because a producer can invent a million others."""
    invented, other = judged(record(0, site_id=77, script_id="nowhere"), record(1, site_id=2)).failures

    assert (invented.site_id, invented.window_site_id) == (77, 0)
    assert (other.site_id, other.window_site_id) == (2, 2)


def test_a_batch_in_slices_comes_to_the_same() -> None:
    """Processing yields after each slice by the clock, which it checks per record."""
    records = [
        record(number, event_id=f"e-{number}", event_type="" if number % 3 == 0 else "click") for number in range(9)
    ]
    whole = process(batch(*records), context())
    for step, slices in ((1.0, 9), (0.5, 4), (0.0, 0)):
        outcomes = Outcomes(batch(*records))
        clock = count(0.0, step)
        assert sum(1 for _ in processing(outcomes, context(), lambda clock=clock: next(clock), 1.0)) == slices
        assert outcomes == whole
