"""Corrections: how they are requested, applied and displayed."""

import json

import pytest
from support.pieces import at_once

from schemas.errors import InvalidInput
from schemas.pipeline.record import RawBody
from streams.rules.correction import Correction, CorrectionFailed, diff, read_correction

VALUE = b'{"event_id":"e-1","site_id":2,"value":1.10,"big":12345678901234567890123,"properties":{"a":2e3}}'
DOUBLED = json.dumps([{"op": "copy", "from": "", "path": f"/again_{number}"} for number in range(12)]).encode()
BODY = RawBody(b"2:e-1", VALUE, [("bridge-site-id", b"2"), ("mine", None)])


def test_without_operations_a_body_is_left_byte_for_byte() -> None:
    """A body that is no JSON stays unchanged too."""
    nothing = read_correction([], None)
    broken = RawBody(None, b"{", ())
    assert not nothing
    assert at_once(nothing.apply(broken)) is broken


def test_what_is_not_corrected_comes_out_as_it_came_in() -> None:
    """Numbers keep their digits, and key and headers are unchanged."""
    corrected = at_once(read_correction(["currency=EUR", "properties.plan=pro"], None).apply(BODY))
    assert corrected.value == VALUE.replace(b"2e3}}", b'2e3,"plan":"pro"},"currency":"EUR"}')
    assert (corrected.key, corrected.headers) == (BODY.key, BODY.headers)
    assert BODY.value == VALUE


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("1.50", 1.5), ("true", True), ("null", None), ('"3"', "3"), ("pro", "pro"), ("a=b", "a=b"), ("", "")],
)
def test_a_value_is_json_if_it_can_be_read_as_such(text: str, value: object) -> None:
    """Any other value is text."""
    corrected = at_once(read_correction([f"field={text}"], None).apply(BODY))
    assert json.loads(corrected.value or b"")["field"] == value


def test_a_patch_comes_before_what_is_set() -> None:
    """The patch's operations run first, and a set value then replaces their result."""
    patch = (
        b'[{"op":"test","path":"/value","value":1.10},{"op":"remove","path":"/big"},{"op":"add","path":"/x","value":1}]'
    )
    corrected = json.loads(at_once(read_correction(["x=2"], patch).apply(BODY)).value or b"")
    assert ("big" in corrected, corrected["x"]) == (False, 2)


def test_a_stored_correction_does_what_the_planned_one_did() -> None:
    """The plan's JSON compares numbers by value and keeps large ones exact."""
    patch = b'[{"op":"test","path":"/value","value":1.1},{"op":"add","path":"/n","value":12345678901234567890123.25}]'
    planned = read_correction(["x=0.12345678901234567890"], patch)
    stored = Correction(json.loads(json.dumps(planned.operations)))
    assert at_once(stored.apply(BODY)) == at_once(planned.apply(BODY))


def test_what_the_gateway_said_of_a_corrected_field_is_said_anew_behind_it() -> None:
    """A new header overrides the gateway's for the corrected field; the raw event's headers stay."""
    corrected = at_once(read_correction(["site_id=3", "script_id=s3"], None).apply(BODY))
    assert corrected.headers == [("bridge-site-id", b"2"), ("mine", None), ("bridge-site-id", b"3")]


@pytest.mark.parametrize(
    ("value", "settings", "patch", "says"),
    [
        (b"{", ["a=1"], None, "not JSON"),
        (None, ["a=1"], None, "not JSON"),
        (b"\xff", ["a=1"], None, "not JSON"),
        (b"[1]", ["a=1"], None, "not a JSON object"),
        (VALUE, ["nowhere.a=1"], None, "the patch does not fit"),
        (VALUE, [], b'[{"op":"test","path":"/site_id","value":3}]', "a test of the patch does not hold"),
        (VALUE, [], b'[{"op":"replace","path":"","value":3}]', "not a JSON object"),
        (VALUE, [], DOUBLED, "copies made by the patch.* have more than 65536 bytes"),
        (VALUE, [], b'[{"op":"copy","from":"/properties/-","path":"/b"}]', "the patch does not fit"),
        (VALUE, [], b'[{"op":"test","path":"/nowhere","value":3}]', "a test of the patch does not hold"),
    ],
)
def test_a_correction_that_does_not_fit(
    value: bytes | None, settings: list[str], patch: bytes | None, says: str
) -> None:
    """The reason quotes nothing from the event."""
    with pytest.raises(CorrectionFailed, match=says) as raised:
        at_once(read_correction(settings, patch).apply(RawBody(None, value, ())))
    assert "e-1" not in str(raised.value)


def test_a_deep_event_is_corrected_like_others() -> None:
    """One deeply nested event does not fail a plan, and a deeply nested constant is allowed too."""
    value = b'{"a":' + b"[" * 900 + b"]" * 900 + b"}"
    corrected = at_once(read_correction(["b=1", f"c={'[' * 900}{']' * 900}"], None).apply(RawBody(None, value, ())))
    assert corrected.value == value[:-1] + b',"b":1,"c":' + value[5:]


def pieces(correction: Correction, value: bytes) -> int:
    return sum(1 for _ in correction.apply(RawBody(None, value, ())))


def numbers(count: int) -> bytes:
    return b'{"a":1,"p":[%s]}' % b",".join([b"0"] * count)


def test_what_is_not_touched_is_not_read() -> None:
    """Copying a small field many times does not read the rest of a large event."""
    patch = json.dumps([{"op": "copy", "from": "/a", "path": f"/c{number}"} for number in range(8)]).encode()
    correction = read_correction(["q=move(p)"], patch)
    assert pieces(correction, numbers(30_000)) == pieces(correction, numbers(1))


@pytest.mark.parametrize(
    "patch",
    [
        [{"op": "add", "path": "/p/0", "value": 1}],
        [{"op": "test", "path": "/p/0", "value": 0}, {"op": "remove", "path": "/p"}],
        [{"op": "test", "path": "/p", "value": [0] * 30_000}],
        [{"op": "replace", "path": "/p/1", "value": 1}, {"op": "copy", "from": "/p/0", "path": "/b"}],
    ],
)
def test_what_takes_long_is_done_in_pieces(patch: list[dict[str, object]]) -> None:
    """A long correction yields the event loop within one event."""
    assert pieces(Correction(patch), numbers(30_000)) >= 25


def test_a_copy_is_a_value_of_its_own() -> None:
    """A change to the copy or to the original does not affect the other."""
    patch = (
        b'[{"op":"copy","from":"/p","path":"/c"},{"op":"add","path":"/c/-","value":[1]},'
        b'{"op":"copy","from":"/c","path":"/d"},{"op":"add","path":"/p/0","value":2},{"op":"add","path":"/d/2/0","value":3},'
        b'{"op":"test","path":"/d","value":[{},5,[3,1.0]]}]'
    )
    after = at_once(read_correction([], patch).apply(RawBody(None, b'{"p":[{},5]}', ()))).value
    assert after == b'{"p":[2,{},5],"c":[{},5,[1]],"d":[{},5,[3,1]]}'


@pytest.mark.parametrize("other", [b"[1,{}]", b"[true,{}]", b'[1.0,{"a":1}]', b"[1.0]", b"{}", b'"1"'])
def test_a_test_compares_as_json(other: bytes) -> None:
    """Numbers compare by value, true is no number, and all members count."""
    correction = Correction([{"op": "test", "path": "/v", "value": [1.0, {}]}])
    body = RawBody(None, b'{"v":%s}' % other, ())
    if other == b"[1,{}]":
        assert at_once(correction.apply(body)).value == body.value
    else:
        with pytest.raises(CorrectionFailed, match="does not hold"):
            at_once(correction.apply(body))


def test_nothing_of_one_event_gets_into_the_next() -> None:
    """Values that a patch adds and then fills are recreated for each event."""
    patch = b'[{"op":"add","path":"/seen","value":[]},{"op":"copy","from":"/event_id","path":"/seen/-"}]'
    correction = read_correction([], patch)
    for name in ("e-1", "e-2", "e-3"):
        value = json.dumps({"event_id": name}).encode()
        assert json.loads(at_once(correction.apply(RawBody(None, value, ()))).value or b"")["seen"] == [name]
    assert correction.operations[0]["value"] == []


@pytest.mark.parametrize(
    ("settings", "patch", "says"),
    [
        (["currency"], None, "--set: 'currency' is not FIELD=VALUE"),
        (["/a=1"], None, "is not FIELD=VALUE"),
        (["a..b=1"], None, "is not FIELD=VALUE"),
        (["a=\udcff"], None, "not UTF-8"),
        ([], b"{", "--patch: not JSON"),
        ([], b"{}", "a list of operations is expected"),
        ([], b'[{"op":"zz","path":"/a"}]', "not a JSON Patch"),
        ([], b"[1]", "not a JSON Patch"),
        ([], b'[{"op":"add","path":"a","value":1}]', "not a JSON Patch"),
    ],
)
def test_what_is_no_correction_is_refused_before_anything(settings: list[str], patch: bytes | None, says: str) -> None:
    """The one-line error names the option."""
    with pytest.raises(InvalidInput, match=says):
        read_correction(settings, patch)


def test_a_diff_shows_the_lines_that_change() -> None:
    """Changed lines are indented and have one line of context."""
    after = at_once(read_correction(["site_id=3"], None).apply(BODY)).value
    lines = diff(VALUE, after)
    assert [line for line in lines if line.startswith(("-", "+")) and "sent" not in line] == [
        '-  "site_id": 2,',
        '+  "site_id": 3,',
    ]


def test_a_long_diff_is_cut() -> None:
    """The plan shows the diff to operators, and a full comparison could take minutes."""
    before, after = (json.dumps([f"{word}{number}" for number in range(40_000)]).encode() for word in "ab")
    lines = diff(before, after)
    assert len(lines) == 201
    assert lines[-1].startswith("… the rest is not compared")
    (cut,) = [line for line in diff(b'"a"', b'"' + b"b" * 70_000 + b'"') if line.startswith('+"')]
    assert len(cut) < 600
