"""The native module as the processor uses it: turns, readers, and records that it must leave to Python."""

from dataclasses import replace
from itertools import count

import pytest
from support.events.making import BOUNDS, NOW_MS, REGISTRY, batch, body, context, process, record
from support.events.native import assert_equal, native_context, read
from support.events.sealed import KEYS, gateway_headers

from bridge.doctor.machine import judge_native
from schemas.documents.doctor_report import Health
from schemas.kafka.gateway_proof import ProofKeys
from schemas.pipeline.outcome import Encoded, Outcomes
from streams.pipeline import native
from streams.pipeline.processor import CLAMP_FUTURE_MS, CLAMP_PAST_MS, GATEWAY_TRUST_MS, processing

needs_native = pytest.mark.skipif(not native.AVAILABLE, reason="the native module is not installed")
CLAMP = (CLAMP_PAST_MS, CLAMP_FUTURE_MS)
VALUE = body()
OTHER = ProofKeys([b"another key"])


@needs_native
def test_other_tasks_run_between_parts_of_a_batch() -> None:
    records = [record(at, user_agent="x" * 60_000, event_id=f"e-{at}") for at in range(20)]
    clock = count()
    outcomes = Outcomes(batch(*records))
    turns = sum(1 for _ in processing(outcomes, native_context(), lambda: float(next(clock)), 1.0))
    assert turns >= 9
    assert [type(one) for one in outcomes.candidates] == [Encoded] * 20


@needs_native
def test_a_reader_is_made_again_for_another_registry_or_other_keys() -> None:
    readers = native.Readers(BOUNDS, CLAMP, GATEWAY_TRUST_MS)
    first = readers.current(REGISTRY, KEYS)
    assert readers.current(REGISTRY, KEYS) is first
    second = readers.current(dict(REGISTRY), KEYS)
    assert second is not first
    assert readers.current(REGISTRY, OTHER) not in (first, second)


@needs_native
@pytest.mark.parametrize(
    "given",
    [
        {"script_id": "off"},
        {"script_id": "nobody"},
        {"site_id": 2},
        {"value": b"{"},
        {"headers": [("bridge-replay-id", b"r")]},
        {"headers": [("bridge-site-id", b"1")]},
        {"value": VALUE, "headers": gateway_headers(VALUE, keys=OTHER)},
        {"value": VALUE, "headers": gateway_headers(VALUE + b" ")},
        {"value": VALUE, "headers": gateway_headers(VALUE, site_id=2, script_id="blog")},
        {"timestamp": 0, "timestamp_type": 0},
        {"occurred_at": 0},
    ],
)
def test_what_is_not_certain_is_left_to_python(given: dict[str, object]) -> None:
    assert read([record(0, **given)]).left == [0]  # type: ignore[arg-type]


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
    assert outcomes.failures == process(batch(record(0)), context(known={first.key})).failures


@needs_native
def test_later_attempts_are_pythons() -> None:
    other = replace(native_context(), raw_topic="t.other")
    outcomes = process(batch(record(0)), other)
    assert (outcomes.candidates, outcomes.stale) == ([], 1)


def test_without_the_module_there_is_no_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "module", None)
    assert native.reader(REGISTRY, KEYS, BOUNDS, CLAMP, GATEWAY_TRUST_MS) is None
    (one,) = process(batch(record(0)), context(now_ms=NOW_MS)).candidates
    assert type(one) is not Encoded


def test_the_doctor_reports_the_module() -> None:
    assert judge_native(installed=True).health is Health.OK
    assert judge_native(installed=False).health is Health.WARN
