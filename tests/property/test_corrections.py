"""Corrections change only the fields they name, for every event, and an inverse correction undoes them."""

import json
import re
from decimal import Decimal
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from support.pieces import at_once

from schemas.pipeline.record import RawBody
from streams.rules.correction import CorrectionFailed, read_correction

_SPACE = st.sampled_from(["", "", " ", "\n  ", "\t"])
_NUMBERS = st.from_regex(r"\A-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,9})?([eE][+-]?[0-9]{1,2})?\Z")
_STRINGS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).flatmap(
    lambda text: st.sampled_from([json.dumps(text), json.dumps(text, ensure_ascii=False)])
)
_KEYS = st.sampled_from(["a", "b", "c", "\\u0061", "é", "x.y", "~", "/"]).map(lambda key: f'"{key}"')


def _object(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Objects as text, with white space and duplicate keys."""
    member = st.tuples(_SPACE, _KEYS, _SPACE, _SPACE, values, _SPACE).map(
        lambda one: f"{one[0]}{one[1]}{one[2]}:{one[3]}{one[4]}{one[5]}"
    )
    return st.lists(member, max_size=4).flatmap(
        lambda members: _SPACE.map(lambda space: "{" + (",".join(members) or space) + "}")
    )


def _array(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    element = st.tuples(_SPACE, values, _SPACE).map("".join)
    return st.lists(element, max_size=4).flatmap(
        lambda elements: _SPACE.map(lambda space: "[" + (",".join(elements) or space) + "]")
    )


_VALUES = st.recursive(
    st.one_of(_NUMBERS, _STRINGS, st.sampled_from(["true", "false", "null"])),
    lambda values: st.one_of(_object(values), _array(values)),
    max_leaves=12,
)
_EVENTS = st.tuples(_SPACE, _object(_VALUES), _SPACE).map("".join)


def _with_field(event: str, value: str) -> bytes:
    """The event with a field `target` after its others."""
    head, _, tail = event.rpartition("}")
    separator = ","
    if head.strip() == "{":
        head, separator = head.rstrip(), ""
    return f'{head}{separator}"target":{value}}}{tail}'.encode()


def _corrected(value: bytes, *settings: str) -> bytes:
    return at_once(read_correction(settings, None).apply(RawBody(None, value, ()))).value or b""


@given(_EVENTS, _VALUES)
def test_a_correction_leaves_every_other_byte(event: str, value: str) -> None:
    """White space, spelling of numbers and strings, and duplicate keys stay."""
    before = _with_field(event, value)
    after = _corrected(before, "target=true")
    assert after == _with_field(event, "true")


@given(_EVENTS)
def test_a_new_field_is_added_and_taken_away_again(event: str) -> None:
    """Removing an added field restores the original bytes."""
    added = _corrected(event.encode(), "target=1")
    patch = b'[{"op":"remove","path":"/target"}]'
    assert added == _with_field(event, "1")
    undone = at_once(read_correction([], patch).apply(RawBody(None, added, ()))).value or b""
    assert re.sub(rb"\s", b"", undone) == re.sub(rb"\s", b"", event.encode())


@given(_EVENTS, st.from_regex(r"\A-?(0|[1-9][0-9]{0,20})(\.[0-9]{0,8}[1-9])?\Z"), st.integers(0, 9))
def test_a_scaled_number_is_scaled_back(event: str, number: str, power: int) -> None:
    """Scaling and its inverse restore the exact number, for any digits."""
    before = _with_field(event, number)
    scaled = _corrected(before, f"target=*{10**power}")
    assert json.loads(scaled, parse_float=Decimal)["target"] == Decimal(number) * 10**power
    assert _corrected(scaled, f"target=*{Decimal(1).scaleb(-power)}") == before


@given(_EVENTS, _NUMBERS)
def test_text_and_number_are_inverse(event: str, number: str) -> None:
    """The conversions keep the number's spelling."""
    before = _with_field(event, number)
    as_text = _corrected(before, "target=text()")
    assert as_text == _with_field(event, f'"{number}"')
    assert _corrected(as_text, "target=number()") == before


@given(_EVENTS, _VALUES)
def test_a_move_and_its_return_are_inverse(event: str, value: str) -> None:
    """A moved value keeps its bytes."""
    before = _with_field(event, value)
    assert _corrected(_corrected(before, "elsewhere=move(target)"), "target=move(elsewhere)") == before


_EXPRESSIONS = st.sampled_from(
    ["*1000", "round(2)", "number()", "text()", "lower()", "upper()", "trim()", "milliseconds()", "default(1)",
     "move(b)", "copy(c)|text()"]
)  # fmt: skip


@given(_EVENTS, st.lists(st.tuples(st.sampled_from(["a", "b", "target"]), _EXPRESSIONS), max_size=4))
def test_a_correction_makes_json_or_a_verdict(event: str, asked: list[tuple[str, str]]) -> None:
    """Every expression on every event gives JSON or an error and leaves the original unchanged."""
    body = RawBody(None, event.encode(), ())
    correction = read_correction([f"{field}={expression}" for field, expression in asked], None)
    try:
        after: Any = json.loads(at_once(correction.apply(body)).value or b"")
    except CorrectionFailed:
        after = {}
    assert isinstance(after, dict)
    assert body.value == event.encode()
