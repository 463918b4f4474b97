"""Expressions of corrections: their results, their inapplicable values and their syntax errors."""

import json

import pytest
from support.pieces import at_once

from schemas.errors import InvalidInput
from schemas.pipeline.record import RawBody
from streams.rules.correction import CorrectionFailed, read_correction


def corrected(value: bytes, *settings: str, patch: bytes | None = None) -> bytes:
    """The value after a correction."""
    return at_once(read_correction(settings, patch).apply(RawBody(None, value, ()))).value or b""


@pytest.mark.parametrize(
    ("before", "expression", "after"),
    [
        (b"1795879069", "*1000", b"1795879069000"),
        (b"1795879069.5", "*1000", b"1795879069500"),
        (b"1990", "* 0.01", b"19.9"),
        (b"0.1", "*3", b"0.3"),
        (b"2.50", "*1.0", b"2.50"),
        (b"12345678901234567890", "*-1", b"-12345678901234567890"),
        (b"19.999000000000002", "round(2)", b"20"),
        (b"2.345", "round(2)", b"2.35"),
        (b"-2.5", "round(0)", b"-3"),
        (b"19.90", "round(2)", b"19.90"),
        (b'"19.90"', "number()", b"19.90"),
        (b'" 5 "', "number()", b"5"),
        (b"5.0", "number()", b"5.0"),
        (b'"1990"', "number()|*0.01|round(1)", b"19.9"),
        (b'"19,90"', "number(,)", b"19.90"),
        (b'" 1.299,00 "', "number(,)", b"1299.00"),
        ('"-1\u00a0299\u00a0000,5"'.encode(), "number(,)", b"-1299000.5"),
        (b'"5"', "number(,)", b"5"),
        (b"5.0", "number(,)|*2", b"10"),
        (b'"2026-11-28T15:10:17"', "utc()", b'"2026-11-28T15:10:17Z"'),
        (b'"2026-11-28 15:10:17.5"', "utc()", b'"2026-11-28 15:10:17.5Z"'),
        (b'"2026-11-28T15:10:17+02:00"', "utc()", b'"2026-11-28T15:10:17+02:00"'),
        (b'"2026-11-28T15:10:17"', "offset(-05:00)", b'"2026-11-28T15:10:17-05:00"'),
        (b'"2026-11-28T15:10:17Z"', "offset(+01:00)", b'"2026-11-28T15:10:17Z"'),
        (b'"{\\"plan\\": 5.0, \\"k\\":[1]}"', "json()", b'{"plan": 5.0, "k":[1]}'),
        (b'{"plan": 5.0}', "json()", b'{"plan": 5.0}'),
        (b'"5"', "json()|*2", b"10"),
        (b"17", "text()", b'"17"'),
        (b"2e3", "text()", b'"2e3"'),
        (b'"Signup"', "lower()", b'"signup"'),
        (b'"eur"', "upper()", b'"EUR"'),
        (b'"\\u00e9"', "upper()", '"É"'.encode()),
        (b'"\\u00e9"', "lower()", b'"\\u00e9"'),
        (b'" a "', "trim()", b'"a"'),
        (b"1795879069", "milliseconds()", b"1795879069000"),
        (b"1795879069.25", "milliseconds()", b"1795879069250"),
        (b"null", "default(EUR)", b'"EUR"'),
        (b"null", 'default("a|b)")', b'"a|b)"'),
        (b"null", 'default({"a": [1]})', b'{"a":[1]}'),
        (b"null", "default(5) | *2", b"10"),
        (b'"USD"', "default(EUR)", b'"USD"'),
        (b"0", "default(1)", b"0"),
    ],
)
def test_an_expression_computes_from_what_was_sent(before: bytes, expression: str, after: bytes) -> None:
    """Results are exact, and unchanged values keep their spelling."""
    assert corrected(b'{"a": 1.10,"x" :%s,"z":1}' % before, f"x={expression}") == b'{"a": 1.10,"x" :%s,"z":1}' % after


def test_a_missing_field_gets_a_default_and_nothing_else() -> None:
    """The new field comes after the others."""
    assert corrected(b'{"a":1}', "currency=default(EUR)") == b'{"a":1,"currency":"EUR"}'
    with pytest.raises(CorrectionFailed, match=r"^currency: upper\(\) does not apply: the field is missing, not text$"):
        corrected(b'{"a":1}', "currency=upper()")


def test_fields_are_moved_and_copied() -> None:
    """Fields keep their spelling, cross objects, and may be computed on the way."""
    event = b'{"user":{"id":17.0,"k":1,"k":2},"b":1}'
    assert corrected(event, "visitor_id=move(user.id)|text()") == b'{"user":{"k":1,"k":2},"b":1,"visitor_id":"17.0"}'
    assert corrected(event, "c=copy(user)") == event[:-1] + b',"c":{"id":17.0,"k":1,"k":2}}'
    assert corrected(event, "who=move(user)") == b'{"b":1,"who":{"id":17.0,"k":1,"k":2}}'
    with pytest.raises(CorrectionFailed, match="the patch does not fit"):
        corrected(event, "visitor_id=move(user.name)")


def test_what_was_json_as_text_is_corrected_further() -> None:
    """The parsed object can be corrected like any other."""
    assert corrected(b'{"p":"{\\"a\\": {\\"b\\" :5.0}}"}', "p=json()", "p.a.b=text()") == b'{"p":{"a": {"b" :"5.0"}}}'


def test_several_corrections_come_in_the_order_in_which_they_are_given() -> None:
    """A patch comes first; it may hold expressions as operations beyond RFC 6902."""
    patch = b'[{"op":"test","path":"/v/0","value":5.0},{"op":"compute","path":"/v/0","expression":"*2"}]'
    assert corrected(b'{"v":[5]}', "v=copy(v)", patch=patch) == b'{"v":[10]}'
    assert corrected(b'{"a":"5"}', "a=number()", "b=copy(a)", "a=*3") == b'{"a":15,"b":5}'


@pytest.mark.parametrize(
    ("before", "expression", "says"),
    [
        (b'"1795879069"', "*1000", r"x: \*1000 does not apply: the field is text, not a number; number\(\) reads one"),
        (b"null", "*1000", "the field is null, not a number"),
        (b"true", "round(2)", "the field is true or false, not a number"),
        (b"{}", "upper()", "the field is an object, not text"),
        (b"[]", "text()", "the field is an array, not text"),
        (b"5", "lower()", r"the field is a number, not text; text\(\) makes it one"),
        (b'"19,90"', "number()", "not a number as JSON writes it, such as 19.90"),
        (b'"19,90"', "number()", r"number\(,\) reads a decimal comma"),
        (b'"1.299"', "number(,)", "not a number with a decimal comma, such as 19,90 or 1.299,00"),
        (b'"19.90"', "number(,)", "not a number with a decimal comma"),
        (b'"1.299.00,5"', "number(,)", "not a number with a decimal comma"),
        (b'"1.299 000,5"', "number(,)", "not a number with a decimal comma"),
        (b"null", "number(,)", "the field is null, not text"),
        (b'"%s"' % (b"9" * 140_000), "number(,)", "out of range"),
        (b'"2026-11-28"', "utc()", "not a time such as 2026-11-28T15:10:17, with or without an offset"),
        (b'"28.11.2026 15:10:17"', "utc()", "not a time such as"),
        (b"1795879069", "utc()", "the field is a number, not text"),
        (b'"plan=pro"', "json()", "the text is not JSON"),
        (b'"%s"' % (b"[" * 60_000), "json()", "the text is not JSON"),
        (b"null", "json()", "the field is null, not text"),
        (b'"1e999"', "number()", "out of range"),
        (b'"NaN"', "number()", "not a number as JSON writes it"),
        (b"1795879069000", "milliseconds()", "only 0 to 99999999999 is taken for seconds"),
        (b"-1", "milliseconds()", "only 0 to"),
        (b"1e300", "*1e40", "the result has more than 50 digits"),
        (b"1" * 60, "*2", "the result has more than 50 digits"),
        (b"1e300", "round(2)", "the result has more than 50 digits"),
        (b"1e99999999999999999999", "*2", "the field is a number out of range, not a number"),
    ],
)
def test_an_item_to_which_an_expression_does_not_apply_is_refused(before: bytes, expression: str, says: str) -> None:
    """The whole item is refused, and the reason quotes nothing from the event."""
    with pytest.raises(CorrectionFailed, match=says):
        corrected(b'{"a":"x","x":%s}' % before, "a=upper()", f"x={expression}")


@pytest.mark.parametrize("text", ["*1000", "round(2)", "move(a)", "*", "a|b", "__import__('os').system('true')"])
def test_a_constant_that_looks_like_an_expression_is_written_as_json(text: str) -> None:
    """Double quotes make it a constant."""
    assert json.loads(corrected(b"{}", f"x={json.dumps(text)}"))["x"] == text


@pytest.mark.parametrize("text", ["a|b", "/2", "+1", "a*2", "Mozilla/5.0 (X11)", "(a)", "2026-11-28", "-3"])
def test_a_constant_that_begins_otherwise_is_one(text: str) -> None:
    """Other texts stay constants."""
    assert str(json.loads(corrected(b"{}", f"x={text}"))["x"]) == text


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("*", "is not an expression; these are: "),
        ("*x", "is not an expression"),
        ("*1000;", r"'\*1000;' is not an expression from ';' on"),
        ("*NaN", "is not an expression"),
        ("round()", r"round\(2\)"),
        ("round(-1)", r"round\(2\)"),
        ("round(true)", r"round\(2\)"),
        ("round(2", "is not an expression"),
        ("default()", "give the value"),
        ("upper(x)", r"upper\(\) takes nothing"),
        ("number(;)", r"number\(\) takes nothing, or a comma: number\(,\)"),
        ("offset()", r"offset\(\+01:00\)"),
        ("offset(1)", r"offset\(\+01:00\)"),
        ("offset(Europe/Berlin)", r"offset\(\+01:00\)"),
        ("json(1)", r"json\(\) takes nothing"),
        ("Upper()", "is not an expression"),
        ("exec(1)", r"'exec\(1\)' is not an expression.* in double quotes"),
        ("__import__('os')", "is not an expression"),
        ("upper()|move(a)", r"'move\(a\)' is not an expression"),
        ("upper()|x", r"'upper\(\)\|x' is not an expression from 'x' on"),
        ("move()", r"name the field whose value it takes, for example move\(properties.plan\)"),
        ("move(a..b)", "is not a field"),
        ("*" + "1" * 60, "more than 50 digits"),
        ("|".join(["trim()"] * 11), "at most 10 steps"),
        ("default(" + "[" * 100_000, "is not an expression"),
    ],
)
def test_what_is_no_expression_is_refused_before_anything(expression: str, says: str) -> None:
    """The error gives the field, the known expressions and the quoted form of a constant."""
    with pytest.raises(InvalidInput, match=f"(?s)^--set: x: .*{says}"):
        read_correction([f"x={expression}"], None)


@pytest.mark.parametrize(
    "operation",
    [
        b'{"op":"compute"}',
        b'{"op":"compute","path":"","expression":"*2"}',
        b'{"op":"compute","path":"/a","expression":2}',
        b'{"op":"compute","path":"a","expression":"*2"}',
        b'{"op":"compute","path":"/a","expression":"move(b)"}',
    ],
)
def test_an_operation_that_computes_is_checked_before_anything(operation: bytes) -> None:
    """The operation takes a path and an expression; moves use the patch's own operation."""
    with pytest.raises(InvalidInput):
        read_correction([], b"[%s]" % operation)
