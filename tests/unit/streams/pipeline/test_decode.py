"""Decoding bytes to fields: the error table's classes, the field and rule of each error, and the gateway's values."""

import json
from typing import Any

import pytest
from support.events.making import NOW_MS, body, document

from schemas.events.raw_event import MAX_BYTES, RawFields
from schemas.kafka.vouched import Vouched
from schemas.pipeline.sender import Sender
from schemas.reasons import ErrorClass
from streams.pipeline.decode import decode
from streams.pipeline.rejection import Rejection

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
        (spliced(b'"value":"\x01"'), "Invalid control character at character "),
        (b'{"a', "Unterminated string starting at character 1"),
        (spliced(b'"properties":{"a":01}'), "delimiter"),
    ],
)
def test_what_is_no_json_object_within_bounds(value: bytes | None, message: str) -> None:
    """The class is invalid_payload_json and the message gives the place."""
    caught = rejection(value)
    assert caught.error_class is INVALID
    assert message in caught.message


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"event_id": ...}, "event_id: is required"),
        ({"script_id": None}, "script_id: is required"),
        ({"event_type": ...}, "event_type: is required"),
        ({"event_id": "x" * 129}, "event_id: has 129 characters, more than 128"),
        ({"event_type": ""}, "event_type: must not be empty"),
        ({"site_id": "1"}, "site_id: must be an integer, not a string; write it without quotes"),
        ({"site_id": True}, "site_id: must be an integer, not a boolean"),
        ({"site_id": 1.0}, "site_id: must be an integer, not a number with a point or an exponent"),
        ({"site_id": 0}, "site_id: must be at least 1"),
        ({"site_id": 2**64}, "site_id: must be at most 9223372036854775807"),
        (
            {"occurred_at": "2025-10-09T08:53:20"},
            "occurred_at: '2025-10-09T08:53:20' is not an RFC 3339 time with an offset; append Z if it is UTC",
        ),
        ({"occurred_at": -5}, "occurred_at: -5 is out of range as milliseconds since the epoch"),
        ({"occurred_at": 1.5}, "occurred_at: 1.5 is not an integer; round it to milliseconds"),
        ({"properties": [1]}, "properties: must be an object, not an array"),
        ({"properties": "{}"}, "properties: must be an object, not a string; send the object itself"),
        ({"session_id": 17}, "session_id: must be a string, not a number; write it in quotes"),
        ({"value": "much"}, "value: 'much' is not a number"),
        ({"value": "1.019,90"}, "value: '1.019,90' is not a number; write a point before the decimals"),
        ({"value": "EUR 19.90"}, "value: 'EUR 19.90' is not a number; `currency` is a field of its own"),
        ({"value": [1]}, "value: must be a number, or a number as text, not an array"),
        ({"value": "1e9999999"}, "value: must be a finite number of at most 15"),
        ({"currency": 978}, "currency: must be a string, not a number"),
        ({"schema_version": None}, "schema_version"),
        ({"schema_version": 0}, "schema_version"),
        ({"user_agent": "a\x00"}, "user_agent: holds a NUL"),
        ({"properties": {"a": [{"b\x00": 1}]}}, "properties.'a'[0].(key): holds a NUL"),
        ({"a'b": ["\x00"]}, "'a’b'[0]: holds a NUL"),
        ({"properties": {"a": "\ud800"}}, "properties.'a': holds a lone surrogate"),
        ({"event_type": "", "currency": 1}, "event_type: must not be empty; currency: must be a string"),
    ],
)
def test_what_breaks_the_contract(changed: dict[str, Any], message: str) -> None:
    """The class is schema_violation and the message gives the field and the rule."""
    caught = rejection(body(**changed))
    assert caught.error_class is VIOLATION
    assert message in caught.message
    assert caught.message == "; ".join(caught.violations)


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (1_795_879_069_123_456, "1795879069123456 looks like microseconds; milliseconds are meant"),
        (1_795_879_069_123_456_789, "1795879069123456789 looks like nanoseconds; milliseconds are meant"),
        (1_795_879_069.25, "1795879069 looks like seconds; milliseconds are meant"),
        ("1795879069", "1795879069 looks like seconds; milliseconds are meant; write the number without quotes"),
        ("1795879069000", "'1795879069000'; write the number without quotes"),
        ("28/11/2026", "'28/11/2026' is not an RFC 3339 time with an offset, such as '2026-01-31T08:30:00Z'"),
        (
            "\ud800",
            "holds a lone surrogate; occurred_at: '?' is not an RFC 3339 time with an offset, such as '2026-01-31T08:30:00Z'",
        ),
        ("O'Clock", "'O’Clock' is not an RFC 3339 time with an offset, such as '2026-01-31T08:30:00Z'"),
        (None, "must be RFC 3339 text or integer milliseconds since the epoch, not null"),
    ],
)
def test_usual_mistakes_of_times_have_a_hint(value: Any, hint: str) -> None:
    """The hint gives the unit in which a number is a recent time, or the part that a text lacks."""
    assert rejection(body(occurred_at=value)).message == f"occurred_at: {hint}"


@pytest.mark.parametrize("others", [("event_id", "messageId"), ("event_type", "event"), ("occurred_at", "timestamp")])
def test_a_field_that_others_call_otherwise_is_named(others: tuple[str, str]) -> None:
    """The message names a common alias if the field is missing and the alias is present."""
    field, other = others
    assert rejection(body(**{field: ..., other: "x"})).message == (
        f"{field}: is required; '{other}' is no field of the contract"
    )


def test_fields_of_version_2_are_named_as_it_names_them() -> None:
    """The message uses the field names of the event's own schema version."""
    caught = rejection(body(schema_version=2, amount="x", page={"url": 5}, session_id=1))
    assert [text.partition(":")[0] for text in caught.violations] == ["session_id", "page.url", "amount"]


def test_all_violations_are_listed_within_bounds() -> None:
    """Each violation and the whole message have a maximum length."""
    everything = {name: [1] for name in document()} | {"value": "9" * 900, "url": 1, "referrer": 1, "user_agent": 1}
    caught = rejection(body(**everything, session_id=1, visitor_id=1, currency=1, properties=1, sent_at="😀" * 900))
    assert len(caught.violations) == 14
    assert caught.message.endswith(" more")
    assert len(caught.message.encode()) <= 900
    assert max(map(len, caught.violations)) <= 200


@pytest.mark.parametrize("properties", [{}, {"colour": "red"}])
def test_an_empty_array_is_no_properties(properties: dict[str, str]) -> None:
    """PHP writes an empty object as `[]`; it counts as one in `properties` and in version 2's `page`."""
    kept = {"_extra": properties} if properties else []
    assert json.loads(bytes(decode(body(properties=[], **properties), None).properties)) == kept
    assert bytes(decode(spliced(b'"properties":[ ]'), None).properties) == b"null"
    paged = decode(body(schema_version=2, page=[], properties=[], **properties), None)
    assert json.loads(bytes(paged.properties)) == kept


def test_empty_texts_of_optional_fields_are_absent() -> None:
    """Empty times and amounts are absent too."""
    now = "2025-10-09T08:53:20Z"
    assert decode(body(occurred_at=now, sent_at="", value=""), None) == decode(body(occurred_at=now), None)


def test_a_rejection_says_whose_event_it_was() -> None:
    """The rejection carries the identity as far as it can be read and stored."""
    whose = rejection(body(event_type="", site_id="1")).identity
    assert whose is not None
    assert (whose.event_id, whose.site_id, whose.script_id) == ("e-1", None, "shop")
    unsound = rejection(body(event_id="e\x00", script_id="\ud800")).identity
    assert unsound is not None
    assert (unsound.event_id, unsound.site_id, unsound.script_id) == (None, 1, None)


def test_an_unknown_version_may_become_known() -> None:
    """unsupported_schema_version is retried, and its message names the known versions."""
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
    """Documents that the fast path cannot judge go to the slow path and are not refused."""
    assert decode(spliced(more), None).site_id == 1


def test_absent_and_null_are_the_same() -> None:
    """Null means absent for every optional field."""
    names = ["sent_at", "session_id", "visitor_id", "url", "referrer", "user_agent", "value", "currency", "properties"]
    nulls = decode(json.dumps(document() | dict.fromkeys(names)).encode(), None)
    assert nulls == decode(body(), None)


def test_unknown_fields_are_kept() -> None:
    """Unknown fields are in properties._extra, and numbers keep their spelling."""
    fields = decode(spliced(b'"colour":"red","weight":1.50'), None)
    assert json.loads(bytes(fields.properties)) == {"_extra": {"colour": "red", "weight": 1.5}}
    assert b"1.50" in bytes(fields.properties)


def test_version_2_ends_as_version_1() -> None:
    """Both versions give the same fields, and the original version number is stored."""
    fields = decode(body(schema_version=2, amount=5, page={"url": "https://x.test/"}), None)
    assert (bytes(fields.value), fields.url, fields.schema_version) == (b"5", "https://x.test/", 2)


GATEWAY = Vouched(1, "shop", Sender.SERVER, "given")


@pytest.mark.parametrize("properties", [..., {"long": "x" * 5000}])
def test_the_gateway_fills_what_is_absent(properties: Any) -> None:
    """The fast and slow paths behave alike, and null counts as absent."""
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
    """A producer cannot write for a site other than the one it authenticated for."""
    caught = rejection(body(properties=properties), Vouched(1, "shop", Sender.VISITOR, "e-1")._replace(**changed))

    assert caught.error_class is VIOLATION
    assert caught.message == f"{place}: differs from the header {header}"


def test_the_same_identity_twice_is_no_conflict() -> None:
    """An event may repeat the identity that the gateway states."""
    agreed: RawFields = decode(body(), Vouched(1, "shop", Sender.SERVER, "e-1"))

    assert agreed.occurred_at == NOW_MS


def test_a_long_endless_string_is_judged_in_no_time() -> None:
    """The scan of 64 KiB of escaped quotes takes linear time; rescanning at each quote took seconds."""
    import time

    value = b'{"a":"' + b'\\"' * 32_000 + b"[" * 40
    started = time.thread_time()
    assert rejection(value).error_class is INVALID
    assert time.thread_time() - started < 1
