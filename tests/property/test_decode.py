"""The hot path's decoder accepts exactly what the contract accepts and reads the same fields."""

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.events.raw_event import (
    CONTRACT_NAMES,
    MAX_BYTES,
    MAX_DEPTH,
    MAX_EXPONENTS,
    RawEvent,
    RawFields,
    instant_from_epoch_ms,
    parse_amount,
)
from schemas.reasons import ErrorClass
from streams.pipeline.decode import decode
from streams.pipeline.rejection import Rejection
from streams.pipeline.violations import quoted

TOKEN = re.compile(r'"@@(.*?)@@"')
LARGEST, DECIMALS = 308, 16_383


class Refused(Exception):
    """The oracle refuses the document."""


def _number(text: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise Refused from None
    exponent = number.as_tuple().exponent
    if (number and number.adjusted() > LARGEST) or exponent > 2 * LARGEST + len(text):
        raise Refused
    if -exponent > DECIMALS:
        raise Refused
    return number


def _exponent(text: str) -> int:
    digits = text.lower().partition("e")[2].lstrip("+-")
    return int(digits) if digits and int(digits) > 9 else 0


def _integer(text: str) -> int:
    if len(text) > LARGEST:
        raise Refused
    return int(text)


def _no_constant(_text: str) -> Any:
    raise Refused


def _checked(value: Any, depth: int) -> None:
    if isinstance(value, str):
        if "\x00" in value or any("\ud800" <= mark <= "\udfff" for mark in value):
            raise Refused
    elif isinstance(value, dict | list):
        if depth >= MAX_DEPTH:
            raise Refused
        for item in [*value, *value.values()] if isinstance(value, dict) else value:
            _checked(item, depth + 1)


def _from_version_2(fields: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    strangers = {name: fields[name] for name in ("value", "url", "referrer") if name in fields}
    fields = {name: item for name, item in fields.items() if name not in strangers}
    if "amount" in fields:
        fields["value"] = fields.pop("amount")
    page = fields.pop("page", None)
    if page == []:
        page = None
    if isinstance(page, dict):
        fields |= {name: page[name] for name in ("url", "referrer") if name in page}
        page = {name: item for name, item in page.items() if name not in ("url", "referrer")} or None
    return fields, strangers if page is None else strangers | {"page": page}


def oracle(value: bytes) -> RawEvent:
    """The contract's fields by json and pydantic alone; raises Refused."""
    if not value or len(value) > MAX_BYTES:
        raise Refused
    exponents: list[int] = []

    def number(text: str) -> Decimal:
        found = _number(text)
        exponents.append(_exponent(text))
        return found

    try:
        fields = json.loads(value.decode(), parse_constant=_no_constant, parse_float=number, parse_int=_integer)
    except ValueError:
        raise Refused from None
    if sum(exponents) > MAX_EXPONENTS:
        raise Refused
    if not isinstance(fields, dict):
        raise Refused
    _checked(fields, 0)
    version = fields.get("schema_version", 1)
    if type(version) is int and version > 0:
        if version not in (1, 2):
            raise Refused
        fields, strangers = _from_version_2(fields) if version == 2 else (fields, {})
    else:
        strangers = {}
    known = {name: item for name, item in fields.items() if name in RawEvent.model_fields}
    unknown = {name: item for name, item in fields.items() if name not in RawEvent.model_fields} | strangers
    properties = known.get("properties")
    if unknown and (properties in (None, []) or isinstance(properties, dict)):
        before = properties or {}
        kept = {"_extra": before["_extra"]} if "_extra" in before else {}
        known["properties"] = before | {"_extra": unknown | kept}
    try:
        return RawEvent.model_validate(known)
    except ValidationError:
        raise Refused from None


def _comparable(fields: RawFields | RawEvent) -> dict[str, Any]:
    compared = {name: getattr(fields, name) for name in RawEvent.model_fields}
    for name in ("occurred_at", "sent_at"):
        if isinstance(compared[name], int):
            compared[name] = instant_from_epoch_ms(compared[name])
    if isinstance(fields, RawFields):
        compared["value"] = parse_amount(json.loads(bytes(fields.value), parse_float=Decimal))
        compared["properties"] = json.loads(bytes(fields.properties), parse_float=Decimal)
    # Empty properties are not stored.
    compared["properties"] = compared["properties"] or None
    return compared


def assert_equal_word(value: bytes) -> bool:
    try:
        expected = oracle(value)
    except Refused:
        with pytest.raises(Rejection) as caught:
            decode(value, None)
        assert caught.value.error_class in (
            ErrorClass.INVALID_PAYLOAD_JSON, ErrorClass.SCHEMA_VIOLATION, ErrorClass.UNSUPPORTED_SCHEMA_VERSION,
        )  # fmt: skip
        return False
    assert _comparable(decode(value, None)) == _comparable(expected)
    return True


def token(*texts: str) -> st.SearchStrategy[str]:
    """JSON tokens that json.dumps would not write."""
    return st.sampled_from([f"@@{text}@@" for text in texts])


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ["\x00", "\ud800", "é\t\n\\N", "😀"]
)
numbers = st.integers() | st.integers(-(2**70), 2**70) | token(
    "NaN", "-Infinity", "1e400", "1E5", "-0", "-0.0", "1.0", "1e-400", "0e999", "1.50", "18446744073709551616", "9" * 309,
    "9" * 250 + "e99", "5e-324", "1e-16383", "1e-16384", "0." + "0" * 400 + "1", "1.5e+10", "01", "1.", "1e308", "1" * 5000,
)  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
objects = st.dictionaries(texts | st.just("_extra"), values, max_size=4)
moments = (
    st.integers(0, 2_000_000_000_000)
    | st.sampled_from([
        "2025-10-09T08:53:20Z", "2025-10-09t08:53:20.123456789z", "2025-10-09 08:53:20+05:30", "2025-10-09T08:53:20",
        "2025-09-30T23:59:60Z", "2017-01-01T05:29:60.25+05:30", "2025-10-09", "2025-02-30T00:00:00Z", "2025-10-09T24:00:00Z", "2025-10-09T08:53:60Z", "99999-01-01T00:00:00Z",
        "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "2025-10-09T08:53:20+0530", "", "now", -1,
        253_402_300_799_999, 253_402_300_800_000, 2**64,
    ])
)  # fmt: skip
amounts = st.sampled_from([
    0, 12, "12.50", "-1", "+1", "1e3", "1e9999999", "1e99999999999999999999", "1e-9999999", ".5", "5.", "0x1", "", " 1",
    "1_0", "١", "NaN", "Infinity", 10**15, 10**15 - 1, "0.0000001", "0.0000010", "999999999999999.999999", "1" * 65,
]) | numbers | st.decimals(allow_nan=False, allow_infinity=False, places=6).map(str)  # fmt: skip
fields = {
    "event_id": st.text(min_size=1, max_size=8) | st.sampled_from(["x" * 128, "x" * 129, "😀" * 128, ""]),
    "site_id": st.integers(1, 9) | st.sampled_from([0, -1, 2**63 - 1, 2**63, 2**64]) | token("1.0", "1e0"),
    "script_id": st.just("shop") | st.sampled_from(["s" * 128, "s" * 129, ""]),
    "event_type": st.just("click") | st.sampled_from(["c" * 64, "é" * 64, "c" * 65, ""]),
    "occurred_at": moments,
}
optional = {
    "sent_at": moments | st.none(),
    "session_id": texts | st.none(),
    "visitor_id": texts,
    "url": texts | st.just("u" * 5000),
    "referrer": texts,
    "user_agent": texts,
    "value": amounts | st.none(),
    "amount": amounts,
    "currency": st.sampled_from(["EUR", "eur", "EURO", "", "ÉÉÉ", None]),
    "properties": objects | st.none() | st.just([]),
    "schema_version": st.sampled_from([1, 1, 2, 2, 3, 0, -1, True, "1", None, 2**63, "@@1.0@@"]),
    "page": st.fixed_dictionaries({}, optional={"url": texts, "referrer": texts, "title": texts})
    | texts
    | st.none()
    | st.just([]),
    "other": values,
}
sound = st.fixed_dictionaries(
    {"event_id": st.just("e"), "site_id": st.just(1), "script_id": st.just("shop"), "event_type": st.just("x"),
     "occurred_at": st.just(1_700_000_000_000)}
)  # fmt: skip


@st.composite
def documents(draw: st.DrawFn) -> bytes:
    """A valid event with a few fields near the contract's limits, in various JSON spellings."""
    made = dict(draw(sound))
    for name in draw(st.lists(st.sampled_from([*fields, *optional, *optional]), max_size=4, unique=True)):
        made[name] = draw(fields[name] if name in fields else optional[name])
    if draw(st.integers(0, 9)) == 0:
        made.pop(draw(st.sampled_from(sorted(made))))
    if draw(st.integers(0, 9)) == 0:
        made[draw(st.sampled_from(sorted(made)))] = draw(values)
    escaped = draw(st.booleans())
    text = json.dumps(
        made, ensure_ascii=escaped, separators=draw(st.sampled_from([None, (",", ":"), (" ,\n", "\t: ")]))
    )
    return TOKEN.sub(lambda match: match[1], text).encode("utf-8", "surrogatepass")


pieces = st.binary(max_size=2) | st.sampled_from(
    [b"\\u0000", b"\\ud83d", b"\\ud83d\\ude00", b"\\u0031", b"\xff", b"\x01", b"{", b"}", b'"', b"\\", b",", b"\xed\xa0\x80",
     b'"site_id":2,', b"[[", b"]]", b"e9", b".0", b"\xef\xbb\xbf", b"null", b"\x7f"]
)  # fmt: skip


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A document with a few bytes inserted, removed or replaced."""
    value = draw(documents())
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(value)))
        end = start + draw(st.integers(0, 2))
        value = value[:start] + draw(pieces) + value[end:]
    return value


HEAD = b'{"event_id":"e","site_id":1,"script_id":"s","event_type":"x","occurred_at":1700000000000'


@settings(max_examples=1500)
@given(documents())
@example(HEAD + b',"value":"\xff"}')
@example(HEAD + b',"value":"12\\u0030"}')
@example(HEAD + b',"value":"1e9999999"}')
@example(HEAD + b',"value":1e400}')
@example(HEAD + b',"value":1.' + b"0" * 80 + b"}")
@example(HEAD + b',"properties":{"a":' + b"9" * 400 + b"}}")
@example(HEAD + b',"properties":{"a":"\xff"}}')
@example(HEAD + b',"properties":{"a":18446744073709551616,"b":"' + b"x" * 5000 + b'"}}')
@example(HEAD.replace(b"1700000000000", b"-5") + b"}")
def test_near_valid_documents(value: bytes) -> None:
    """Decoder and oracle accept the same documents and read equal fields."""
    assert_equal_word(value)


@settings(max_examples=1500)
@given(mutated())
def test_mutated_bytes(value: bytes) -> None:
    """Decoder and oracle agree on broken JSON."""
    assert_equal_word(value)


@settings(max_examples=300)
@given(st.binary(max_size=200) | values.map(lambda made: json.dumps(made).encode()))
def test_any_bytes(value: bytes) -> None:
    """Decoder and oracle agree on arbitrary bytes."""
    assert not assert_equal_word(value)


@st.composite
def wide(draw: st.DrawFn) -> bytes:
    """A document that repeats one value many times before another one; valid values are scanned but not read."""
    item, last = (TOKEN.sub(lambda match: match[1], json.dumps(draw(values))) for _ in range(2))
    count = min(draw(st.sampled_from([1, 20, 400, 4000])), (MAX_BYTES - 1000 - len(last)) // (len(item) + 1))
    place = draw(st.sampled_from(["properties", "properties", "other", "page"]))
    more = draw(
        st.sampled_from(["", ',"value":1e2', ',"schema_version":2', ',"value":"\\u0031"', ',"other":"\\ud83d\\ude00"'])
    )
    text = HEAD.decode() + f'{more},"{place}":{{"a":[{(item + ",") * max(0, count)}{last}]}}}}'
    return text.encode("utf-8", "surrogatepass")


@settings(max_examples=400)
@given(wide())
def test_wide_documents(value: bytes) -> None:
    """Decoder and oracle agree on documents with many values."""
    assert_equal_word(value)


def _step(path: str, name: str) -> str:
    """The path to a member, with names outside the contract in quotes."""
    return f"{path}.{quoted(name)}" if path else name if name in CONTRACT_NAMES else quoted(name)


def _unsound(value: Any, path: str) -> str | None:
    """The message for the first text that cannot be stored, found by walking through all values."""
    if isinstance(value, str):
        if "\x00" in value:
            return f"{path or 'value'}: holds a NUL"
        surrogate = any("\ud800" <= mark <= "\udfff" for mark in value)
        return f"{path or 'value'}: holds a lone surrogate" if surrogate else None
    steps: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        for name, item in value.items():
            steps += [(f"{path}.(key)" if path else "(key)", name), (_step(path, name), item)]
    elif isinstance(value, list):
        steps = [(f"{path}[{index}]", item) for index, item in enumerate(value)]
    return next((found for place, item in steps if (found := _unsound(item, place)) is not None), None)


@settings(max_examples=500)
@given(documents() | wide())
def test_the_place_of_an_unsound_text(value: bytes) -> None:
    """The decoder names the same first text as a walk through the document."""
    try:
        decode(value, None)
        message = ""
    except Rejection as rejection:
        message = next(iter(rejection.violations), "")
    assert ": holds a " not in message or message == _unsound(json.loads(value), "")


@pytest.mark.parametrize("depth", [14, 15, 16, 17, 30, 31, 32, 33])
@pytest.mark.parametrize("place", ["properties", "other"])
def test_depth(depth: int, place: str) -> None:
    """The depth limit is the contract's on every path through the decoder."""
    value = HEAD + f',"{place}":'.encode() + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
    assert assert_equal_word(value) == (depth <= MAX_DEPTH - 1)


@pytest.mark.parametrize("length", [MAX_BYTES, MAX_BYTES + 1])
def test_size(length: int) -> None:
    """64 KiB are accepted and one byte more is refused."""
    head = HEAD + b',"url":"'
    value = head + b"u" * (length - len(head) - 2) + b'"}'
    assert assert_equal_word(value) == (length <= MAX_BYTES)


@given(st.integers(0, 2**32 * 1000 + 5000) | st.integers(0, 253_402_300_799_999))
@example(2**32 * 1000 - 1)
def test_an_instant_keeps_its_milliseconds(epoch_ms: int) -> None:
    """A conversion through a double of seconds keeps them too."""
    passed = instant_from_epoch_ms(epoch_ms) - datetime(1970, 1, 1, tzinfo=UTC)
    assert passed == timedelta(milliseconds=epoch_ms)
