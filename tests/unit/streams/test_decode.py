"""From bytes to fields: the error table's classes, the field and rule in words, and what the gateway fills."""

import json
from typing import Any

import pytest
from support.making import NOW_MS, body, document

from schemas.raw_event import MAX_BYTES, RawFields
from schemas.reasons import ErrorClass
from schemas.sender import Sender
from schemas.vouched import Vouched
from streams.decode import decode
from streams.rejection import Rejection

INVALID, VIOLATION = ErrorClass.INVALID_PAYLOAD_JSON, ErrorClass.SCHEMA_VIOLATION


def rejection(value: bytes | None, vouched: Vouched | None = None) -> Rejection:
    with pytest.raises(Rejection) as caught:
        decode(value, vouched)
    return caught.value


def spliced(more: bytes) -> bytes:
    return body()[:-1] + b"," + more + b"}"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "the value is null"),
        (b"", "the value is empty"),
        (b"\xff", "not UTF-8 at byte 0"),
        (b"x" * (MAX_BYTES + 1), f"{MAX_BYTES + 1} bytes, more than {MAX_BYTES}"),
        (b"{", "at character 1"),
        (b"[]", "not an object but an array"),
        (b'"x"', "not an object but a string"),
        (b"1", "not an object but a number"),
        (b"true", "not an object but a boolean"),
        (b"null", "not an object but null"),
        (b"\xef\xbb\xbf" + body(), "BOM"),
        (b'{"a":' + b"[" * 2000, "nested deeper than 32"),
        (spliced(b'"properties":' + b'{"a":' * 32 + b"1" + b"}" * 32), "nested deeper than 32"),
        (spliced(b'"properties":{"a":NaN}'), "NaN is not JSON"),
        (spliced(b'"value":-Infinity'), "-Infinity is not JSON"),
        (spliced(b'"properties":{"a":1e999}'), "1e999 is out of range"),
        (spliced(b'"value":1e99999999999999999999'), "is out of range"),
        (spliced(b'"properties":{"a":' + b"9" * 400 + b"}"), "an integer of 400 digits is out of range"),
        (spliced(b'"value":"\xff"'), "not UTF-8"),
        (spliced(b'"value":"\x01"'), "control character"),
        (spliced(b'"properties":{"a":01}'), "delimiter"),
    ],
)
def test_what_is_no_json_object_within_bounds(value: bytes | None, message: str) -> None:
    """invalid_payload_json, with the place."""
    caught = rejection(value)
    assert caught.error_class is INVALID
    assert message in caught.message


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"event_id": ...}, "event_id: Field required"),
        ({"script_id": None}, "script_id: Field required"),
        ({"event_type": ...}, "event_type: Field required"),
        ({"event_id": "x" * 129}, "event_id: String should have at most 128"),
        ({"event_type": ""}, "event_type: String should have at least 1"),
        ({"site_id": "1"}, "site_id: Input should be a valid integer"),
        ({"site_id": True}, "site_id: Input should be a valid integer"),
        ({"site_id": 0}, "site_id: Input should be greater than 0"),
        ({"site_id": 2**64}, "site_id: Input should be less than or equal"),
        ({"occurred_at": "2025-10-09T08:53:20"}, "occurred_at: not an RFC 3339 time with an offset"),
        ({"occurred_at": -5}, "occurred_at: milliseconds since the epoch out of range"),
        ({"occurred_at": 1.5}, "occurred_at: must be RFC 3339"),
        ({"properties": []}, "properties: Input should be a valid dictionary"),
        ({"value": "much"}, "value: must be a number"),
        ({"value": "1e9999999"}, "value: must be a finite number of at most 15"),
        ({"value": 0.0000001}, "value: must have at most 6 digits"),
        ({"currency": "EURO"}, "currency: String should have at most 3"),
        ({"schema_version": None}, "schema_version"),
        ({"schema_version": 0}, "schema_version"),
        ({"user_agent": "a\x00"}, "user_agent: holds a NUL"),
        ({"properties": {"a": [{"b\x00": 1}]}}, "properties.a[0].(key): holds a NUL"),
        ({"properties": {"a": "\ud800"}}, "properties.a: holds a lone surrogate"),
        ({"event_type": "", "currency": "X"}, "(and 1 more)"),
    ],
)
def test_what_breaks_the_contract(changed: dict[str, Any], message: str) -> None:
    """schema_violation, with the field and the rule."""
    caught = rejection(body(**changed))
    assert caught.error_class is VIOLATION
    assert message in caught.message


def test_a_rejection_says_whose_event_it_was() -> None:
    """As far as it can be read and stored."""
    whose = rejection(body(event_type="", site_id="1")).identity
    assert whose is not None
    assert (whose.event_id, whose.site_id, whose.script_id) == ("e-1", None, "shop")
    unsound = rejection(body(event_id="e\x00", script_id="\ud800")).identity
    assert unsound is not None
    assert (unsound.event_id, unsound.site_id, unsound.script_id) == (None, 1, None)


def test_an_unknown_version_may_become_known() -> None:
    """unsupported_schema_version, which retries; the versions that are known are named."""
    for value in (body(schema_version=3), body(schema_version=3, properties={"a": "x" * 5000})):
        caught = rejection(value)
        assert caught.error_class is ErrorClass.UNSUPPORTED_SCHEMA_VERSION
        assert "known: 1, 2" in caught.message
        assert caught.identity is not None
        assert caught.identity.event_id == "e-1"


@pytest.mark.parametrize(
    "more",
    [
        b'"url":"https://x.test/\\ud83d\\ude00"', b'"value":"12\\u0030"', b'"value":1e2', b'"properties":{"a":1e300}',
        b'"properties":{"a":18446744073709551616}', b'"other":18446744073709551616', b'"event_id":"later one"',
        b'"properties":{"long":"' + b"x" * 5000 + b'","a":36893488147419103232}', b'"value":1.' + b"0" * 80,
    ],
)  # fmt: skip
def test_odd_but_sound_documents_pass(more: bytes) -> None:
    """What the quick way can't judge is read the careful way, not refused."""
    assert decode(spliced(more), None).site_id == 1


def test_absent_and_null_are_the_same() -> None:
    """For every optional field."""
    names = ["sent_at", "session_id", "visitor_id", "url", "referrer", "user_agent", "value", "currency", "properties"]
    nulls = decode(json.dumps(document() | dict.fromkeys(names)).encode(), None)
    assert nulls == decode(body(), None)


def test_unknown_fields_are_kept() -> None:
    """In properties._extra, with their numbers as they were written."""
    fields = decode(spliced(b'"colour":"red","weight":1.50'), None)
    assert json.loads(bytes(fields.properties)) == {"_extra": {"colour": "red", "weight": 1.5}}
    assert b"1.50" in bytes(fields.properties)


def test_version_2_ends_as_version_1() -> None:
    """Its own number stays beside it."""
    fields = decode(body(schema_version=2, amount=5, page={"url": "https://x.test/"}), None)
    assert (bytes(fields.value), fields.url, fields.schema_version) == (b"5", "https://x.test/", 2)


GATEWAY = Vouched(1, "shop", Sender.SERVER, "given")


@pytest.mark.parametrize("properties", [..., {"long": "x" * 5000}])
def test_the_gateway_fills_what_is_absent(properties: Any) -> None:
    """The quick way and the careful way alike; null counts as absent."""
    value = body(event_id=..., site_id=None, script_id=..., properties=properties)
    fields = decode(value, GATEWAY)
    assert (fields.event_id, fields.site_id, fields.script_id) == ("given", 1, "shop")


@pytest.mark.parametrize(
    ("changed", "place", "header"),
    [
        ({"site_id": 2}, "site_id", "bridge-site-id"),
        ({"script_id": "x"}, "script_id", "bridge-script-id"),
        ({"event_id": "x"}, "event_id", "bridge-event-id"),
    ],
)
@pytest.mark.parametrize("properties", [..., {"long": "x" * 5000}])
def test_a_conflict_with_the_gateway_is_a_violation(
    changed: dict[str, Any], place: str, header: str, properties: Any
) -> None:
    """A producer can't write for another site than the one it was let in for."""
    caught = rejection(body(properties=properties), Vouched(1, "shop", Sender.VISITOR, "e-1")._replace(**changed))

    assert caught.error_class is VIOLATION
    assert caught.message == f"{place}: differs from the header {header}"


def test_the_same_identity_twice_is_no_conflict() -> None:
    """An event may repeat what the gateway states."""
    agreed: RawFields = decode(body(), Vouched(1, "shop", Sender.SERVER, "e-1"))

    assert agreed.occurred_at == NOW_MS


def test_a_long_endless_string_is_judged_in_no_time() -> None:
    """64 KiB of escaped quotes took seconds when the scanner tried each of them anew."""
    import time

    value = b'{"a":"' + b'\\"' * 32_000 + b"[" * 40
    started = time.thread_time()
    assert rejection(value).error_class is INVALID
    assert time.thread_time() - started < 1
