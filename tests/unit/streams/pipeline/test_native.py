"""The native module as the processor uses it: turns, readers, and records that it must leave to Python."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs
from support.events.making import BOUNDS, NOW_MS, POLICY, RAW, REGISTRY, SOURCE, batch, body, context, process, record
from support.events.native import assert_equal, native_context, read, reader
from support.events.sealed import KEYS, TRUST, gateway_headers

from bridge.doctor.machine import judge_native
from schemas import native_module
from schemas.documents.doctor_report import Health
from schemas.events.raw_event import MAX_BYTES, MAX_DEPTH, MAX_EVENT_ID, MAX_EVENT_TYPE, MAX_EXPONENTS, MAX_SCRIPT_ID
from schemas.kafka.gateway_proof import ProofKeys
from schemas.native_module import ORDINARY, LeftToPython
from schemas.pipeline.outcome import Attempt, Encoded, Normalized, Outcomes, duplicate
from schemas.pipeline.record import Provenance
from streams.judging import Judging
from streams.pipeline import native, processor
from streams.pipeline.json_text import MANY_DIGITS
from streams.pipeline.name_order import FEW_NAMES
from streams.pipeline.processor import CLAMP_FUTURE_MS, CLAMP_PAST_MS, GATEWAY_TRUST_MS, processing

needs_native = pytest.mark.skipif(not native.AVAILABLE, reason="the native module is not installed")
CLAMP = (CLAMP_PAST_MS, CLAMP_FUTURE_MS)
LONG_AGO, SOON = NOW_MS - CLAMP_PAST_MS - 1, NOW_MS + CLAMP_FUTURE_MS + 1
VALUE = body()
OTHER = ProofKeys([b"another key"])


def test_the_module_is_there_where_it_is_required() -> None:
    """In CI its tests must not be skipped, for example because it was built for another contract."""
    assert native.AVAILABLE or os.environ.get("WITH_NATIVE") != "required"


@needs_native
def test_other_tasks_run_between_parts_of_a_batch() -> None:
    records = [record(at, user_agent="x" * 60_000, event_id=f"e-{at}") for at in range(20)]
    clock = count()
    outcomes = Outcomes(batch(*records))
    turns = sum(1 for _ in processing(outcomes, native_context(), lambda: float(next(clock)), 1.0))
    assert turns >= 9
    assert [type(one) for one in outcomes.candidates] == [Encoded] * 20


@needs_native
def test_a_call_reads_no_longer_than_its_time() -> None:
    """A batch of events that take long, such as those with URLs that Python parses, does not hold the event loop."""
    records = [record(at, event_id=f"e-{at}") for at in range(3)]
    made = reader(context())
    assert made.read(SOURCE, records, 0, NOW_MS, native.BYTES_AT_ONCE, 60.0).end == 3
    assert made.read(SOURCE, records, 1, NOW_MS, native.BYTES_AT_ONCE, 0.0).end == 2
    assert made.read(SOURCE, records, 0, NOW_MS, 0, 60.0).end == 1


@needs_native
def test_a_reader_is_made_again_for_another_registry_or_other_keys() -> None:
    readers = native.Readers(BOUNDS, CLAMP, GATEWAY_TRUST_MS)
    first = readers.current(REGISTRY, KEYS)
    assert readers.current(REGISTRY, KEYS) is first
    second = readers.current(dict(REGISTRY), KEYS)
    assert second is not first
    assert readers.current(REGISTRY, OTHER) not in (first, second)


def _names(count: int) -> bytes:
    return b'"properties":{%b}}' % b",".join(b'"%d":0' % name for name in range(count))


def _with(part: bytes) -> bytes:
    """A valid event with a part of JSON, which closes the document."""
    return body()[:-1] + b"," + part


@needs_native
@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"script_id": "off"}, "script"),
        ({"script_id": "nobody"}, "script"),
        ({"site_id": 2}, "script"),
        ({"site_id": ...}, "identity"),
        ({"value": b"{"}, "json"),
        ({"session_id": "\x00"}, "json"),
        ({"session_id": 1}, "field"),
        ({"value": _with(b'"session_id":"a","session_id":"b"}')}, "field"),
        ({"event_id": "x" * (MAX_EVENT_ID + 1)}, "field"),
        ({"script_id": "x" * (MAX_SCRIPT_ID + 1)}, "field"),
        ({"event_type": "x" * (MAX_EVENT_TYPE + 1)}, "field"),
        ({"user_agent": "x" * MAX_BYTES}, "size"),
        ({"value": _with(b'"properties":' + b'{"a":' * MAX_DEPTH + b"0" + b"}" * MAX_DEPTH + b"}")}, "json"),
        ({"value": _with(_names(FEW_NAMES + 1))}, "properties"),
        ({"value": _with(b'"properties":{"a":1e100}}')}, "properties"),
        ({"value": _with(b'"properties":{"a":[' + b"1e99," * (MAX_EXPONENTS // 99) + b"1e99]}}")}, "properties"),
        ({"value": _with(b'"properties":{"a":1' + b"0" * MANY_DIGITS + b"}}")}, "properties"),
        ({"currency": "xyz"}, "currency"),
        ({"headers": [("bridge-replay-id", b"r")]}, "headers"),
        ({"headers": [("bridge-site-id", b"1")]}, "headers"),
        ({"value": VALUE, "headers": gateway_headers(VALUE, keys=OTHER)}, "headers"),
        ({"value": VALUE, "headers": gateway_headers(VALUE + b" ")}, "headers"),
        ({"value": VALUE, "headers": gateway_headers(VALUE, site_id=2, script_id="blog")}, "identity"),
        ({"timestamp": LONG_AGO, "timestamp_type": 0, "occurred_at": LONG_AGO}, "time"),
        ({"timestamp": SOON, "timestamp_type": 0, "occurred_at": SOON}, "time"),
        ({"occurred_at": 0}, "time"),
    ],
)
def test_what_is_not_certain_is_left_to_python(given: dict[str, Any], reason: str) -> None:
    assert read([record(0, **given)]).left == [(0, reason)]


@needs_native
def test_an_event_at_the_limits_is_encoded() -> None:
    """The bounds are those that Python passes, so that neither path does what the other refuses to do."""
    made = [
        record(0, _with(_names(FEW_NAMES))),
        record(1, _with(b'"properties":{"a":1' + b"0" * (MANY_DIGITS - 2) + b"}}")),
        record(2, event_id="x" * MAX_EVENT_ID, event_type="x" * MAX_EVENT_TYPE),
        record(3, _with(b'"properties":' + b'{"a":' * (MAX_DEPTH - 1) + b"0" + b"}" * (MAX_DEPTH - 1) + b"}")),
    ]
    assert read(made).left == []
    assert_equal(made, read(made))


@needs_native
def test_all_exponents_together_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    few = [record(0, _with(b'"properties":{"a":[1e20,1E+30,1e-40]}}'))]
    assert read(few).left == []
    monkeypatch.setitem(native._LIMITS, "max_exponents", 89)
    assert read(few).left == [(0, "properties")]


@needs_native
async def test_a_panic_leaves_the_record_to_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker goes on, the event has the row of the Python path, and the log has an error."""

    def panics(*, aliases: bool) -> Callable[[str], object]:
        def named(event_type: str) -> tuple[bytes, None]:
            if event_type == "click":
                raise native_module.module.PanicException("a defect")
            return event_type.encode(), None

        return named

    monkeypatch.setattr(native, "_type_namer", panics)
    judging = Judging(lambda: REGISTRY, lambda: TRUST, POLICY, BOUNDS, RAW, now_ms=lambda: NOW_MS)
    with capture_logs() as logs:
        (outcomes,) = await judging.judge([batch(record(0), record(1, event_id="e-2", event_type="view"))], set(), {})
    assert [type(one) for one in outcomes.candidates] == [Normalized, Encoded]
    assert outcomes.read == {LeftToPython.PANIC: 1, ORDINARY: 1}
    assert [(one["event"], one["records"]) for one in logs] == [("native_module_panicked", 1)]


@needs_native
def test_a_duplicate_costs_no_second_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch may have thousands of duplicates, and a commit turns them into failures in one go."""
    (one,) = process(batch(record(0)), native_context()).candidates
    for step in ("decode", "normalize"):
        monkeypatch.delattr(processor, step)
    failure = duplicate(one)
    assert (failure.site_id, failure.script_id, failure.event_id) == (1, "shop", "e-1")
    assert failure.attempt == Attempt(one.record, Provenance(RAW, 0, 0), 1, one.received_at, NOW_MS, NOW_MS // 60_000)


@needs_native
@pytest.mark.parametrize(("wanted", "expected"), [(True, ORDINARY), (False, LeftToPython.TURNED_OFF)])
async def test_records_are_counted_by_their_reader(*, wanted: bool, expected: str) -> None:
    judging = Judging(lambda: REGISTRY, lambda: TRUST, POLICY, BOUNDS, RAW, native=wanted, now_ms=lambda: NOW_MS)
    (outcomes,) = await judging.judge([batch(record(0))], set(), {})
    assert outcomes.read == {expected: 1}
    assert native_module.reads(wanted=wanted) == ("native" if wanted else "python")


@needs_native
@pytest.mark.parametrize("headers", [(), gateway_headers(VALUE), [("x-request-id", b"r")]])
def test_an_ordinary_event_is_encoded(headers: list[tuple[str, bytes | None]]) -> None:
    assert read([record(0, VALUE, headers=headers)]).left == []


@needs_native
@pytest.mark.parametrize("event_id", ["0199c5a4é1c3a-7abc-8def-0123456789ab", "0199c5a4-1c3aé7abc-8def-0123456789ab"])
def test_the_positions_in_an_id_count_characters(event_id: str) -> None:
    """The key of an id that looks like a UUIDv7 begins with its time, whatever is between the digits."""
    made = [record(0, event_id=event_id)]
    assert read(made).left == []
    assert_equal(made, read(made))


@needs_native
def test_a_known_key_is_a_duplicate() -> None:
    (first,) = process(batch(record(0)), native_context()).candidates
    outcomes = process(batch(record(0), record(1, event_id="e-2")), native_context(known={first.key}))
    assert [one.offset for one in outcomes.candidates] == [1]
    (held,) = outcomes.failures
    (python,) = process(batch(record(0)), context(known={first.key})).failures
    assert (held.error, held.event_id, held.script_id) == (python.error, python.event_id, python.script_id)


@needs_native
def test_later_attempts_are_pythons() -> None:
    other = replace(native_context(), raw_topic="t.other")
    outcomes = process(batch(record(0)), other)
    assert (outcomes.candidates, outcomes.stale) == ([], 1)


def test_without_the_module_there_is_no_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "module", None)
    monkeypatch.setattr(processor, "AVAILABLE", False)
    assert native.reader(REGISTRY, KEYS, BOUNDS, CLAMP, GATEWAY_TRUST_MS) is None
    outcomes = process(batch(record(0)), context(now_ms=NOW_MS))
    assert [type(one) for one in outcomes.candidates] == [Normalized]
    assert outcomes.read == {LeftToPython.NO_MODULE: 1}


def test_a_module_of_another_contract_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for number, used in ((native_module.CONTRACT, True), (native_module.CONTRACT - 1, False)):
        monkeypatch.setitem(sys.modules, native_module.MODULE, SimpleNamespace(CONTRACT=number))
        assert (native_module._load() is not None) is used


def test_the_doctor_reports_the_module() -> None:
    assert judge_native(installed=True).health is Health.OK
    assert judge_native(installed=False).health is Health.WARN
    assert "BRIDGE_NATIVE_READER" in judge_native(installed=True, wanted=False).found
