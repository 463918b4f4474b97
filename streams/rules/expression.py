"""Expressions with which an operator's correction computes a field of an event from its value; pure.

An expression is parsed, never executed as code:

    EXPRESSION = STEP { "|" STEP }
    STEP       = "*" NUMBER | NAME "(" [ ARGUMENT ] ")"

An argument is read as JSON if possible, otherwise as text without parentheses, quotes and bars.
"""

import json
import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Context, Decimal, DecimalException, Inexact, InvalidOperation, Overflow
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from schemas.errors import InvalidInput
from schemas.events.raw_event import parse_instant
from streams.pipeline.json_text import check_number
from streams.rules.json_source import Number, Source

_DIGITS: Final = 50
_EXACT: Final = Context(_DIGITS, Emin=-_DIGITS, Emax=_DIGITS, traps=[Inexact, InvalidOperation, Overflow])
_ROUNDED: Final = Context(_DIGITS, ROUND_HALF_UP, Emin=-_DIGITS, Emax=_DIGITS, traps=[InvalidOperation, Overflow])
_MOST_DECIMALS: Final = 15
_MOST_STEPS: Final = 10
_MILLISECONDS_BEGIN: Final = 10**11  # in seconds a time in the year 5138, in milliseconds one in the year 1973
_LOOKS_LIKE: Final = re.compile(r"\*|[A-Za-z_][A-Za-z0-9_]*\(")
_NUMBER: Final = r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"
_is_number: Final = re.compile(_NUMBER, re.ASCII).fullmatch
_FACTOR: Final = re.compile(rf"\*\s*({_NUMBER})", re.ASCII)
_CALL: Final = re.compile(r"([a-z]+)\(\s*")
_WORD: Final = re.compile(r"[^()|\"]*")
_CLOSING: Final = re.compile(r"\s*\)")
_BAR: Final = re.compile(r"\s*\|\s*")
# Groups of thousands are accepted only together with a decimal comma, because 1.299 alone is ambiguous.
_comma_number: Final = re.compile(
    r"(-?)(?:(0|[1-9][0-9]*)(?:,([0-9]+))?|([1-9][0-9]{0,2}(?:([. '’\u00a0\u202f])[0-9]{3})(?:\5[0-9]{3})*),([0-9]+))",
    re.ASCII,
).fullmatch
_is_offset: Final = re.compile(r"[+-][0-9]{2}:[0-9]{2}|[Zz]", re.ASCII).fullmatch

MISSING: Final = object()
"""The placeholder for the value of a missing field."""

FORMS: Final = (
    "*NUMBER, round(DECIMALS), number(), number(,), text(), lower(), upper(), trim(), milliseconds(), utc(), offset(+HH:MM), "
    "json(), default(VALUE), "
    "and first of all move(FIELD), copy(FIELD)"
)


class NotApplicable(Exception):
    """The expression can't be applied to this value of an event.

    The message has the reason, and quotes nothing of the event.
    """


class Step(NamedTuple):
    """One step of an expression: its text, its name and its argument."""

    text: str
    name: str
    argument: Any


def looks_like_one(text: str) -> bool:
    """Return whether a text begins like an expression (a computation of a corrected field).

    An operator who means such a text as a constant must give it as JSON.
    """
    return _LOOKS_LIKE.match(text.lstrip()) is not None


def read_steps(text: str) -> list[Step]:
    """Return the steps of an expression; raises InvalidInput."""
    steps, at = [], 0
    text = text.strip()
    while True:
        step, at = _step(text, at)
        steps.append(step)
        if at == len(text):
            return steps
        if len(steps) == _MOST_STEPS:
            raise InvalidInput(f"{text[:80]!r}: an expression has at most {_MOST_STEPS} steps")
        bar = _BAR.match(text, at)
        if bar is None:
            raise _unreadable(text, at)
        at = bar.end()


def computing(steps: list[Step]) -> Callable[[Any], Any]:
    """Return the function that applies the steps of an expression to a field's value.

    The function raises NotApplicable if a step can't be applied to the value. Raises InvalidInput for an unknown step.
    """
    functions = [(step, _function(step)) for step in steps]

    def compute(value: Any) -> Any:
        for step, function in functions:
            try:
                value = function(value)
            except NotApplicable as error:
                raise NotApplicable(f"{step.text} does not apply: {error}") from None
        return value

    return compute


def _step(text: str, at: int) -> tuple[Step, int]:
    if factor := _FACTOR.match(text, at):
        return Step(factor[0], "*", factor[1]), factor.end()
    call = _CALL.match(text, at)
    if call is None:
        raise _unreadable(text, at)
    argument, end = _argument(text, call.end())
    closing = _CLOSING.match(text, end)
    if closing is None:
        raise _unreadable(text, at)
    return Step(text[at : closing.end()], call[1], argument), closing.end()


def _argument(text: str, at: int) -> tuple[Any, int]:
    """Return the argument of a step that begins at `at` (MISSING without an argument), and the position after it."""
    try:
        _, end = json.JSONDecoder().raw_decode(text, at)
        value = msgspec.json.decode(text[at:end])
        if _CLOSING.match(text, end):
            return value, end
    except (ValueError, RecursionError):  # includes msgspec's errors
        pass
    word = _WORD.match(text, at)
    assert word is not None  # noqa: S101  # the pattern also matches the empty text
    return word[0].strip() or MISSING, word.end()


def _unreadable(text: str, at: int) -> InvalidInput:
    where = f" from {text[at:][:20]!r} on" if at else ""
    return InvalidInput(
        f"{text[:80]!r} is not an expression{where}; these are: {FORMS}. "
        "Write a constant that looks like an expression as JSON, in double quotes"
    )


def _function(step: Step) -> Callable[[Any], Any]:
    if step.name == "*":
        try:
            factor = _EXACT.create_decimal(step.argument)
        except DecimalException:
            raise InvalidInput(f"{step.text[:80]}: the factor has more than {_DIGITS} digits") from None
        return lambda value: _multiplied(value, factor)
    if step.name == "round":
        decimals = step.argument
        if type(decimals) is not int or not 0 <= decimals <= _MOST_DECIMALS:
            raise InvalidInput(f"{step.text[:80]}: give the number of decimals, 0 to {_MOST_DECIMALS}: round(2)")
        return lambda value: _rounded(value, decimals)
    if step.name == "default":
        if step.argument is MISSING:
            raise InvalidInput(f'{step.text[:80]}: give the value: default(EUR), default(0), default("")')
        text = msgspec.json.encode(step.argument)
        return lambda value: Source(text).value if value is MISSING or value is None else value
    if step.name == "offset":
        if not isinstance(step.argument, str) or not _is_offset(step.argument):
            raise InvalidInput(f"{step.text[:80]}: give the offset from UTC: offset(+01:00)")
        return partial(_with_offset, step.argument)
    if step.name == "number" and step.argument == ",":
        return _from_comma_text
    if step.name not in _PLAIN:
        raise _unreadable(step.text, 0)
    if step.argument is not MISSING:
        comma = ", or a comma: number(,)" if step.name == "number" else ""
        raise InvalidInput(f"{step.text[:80]}: {step.name}() takes nothing{comma}")
    return _PLAIN[step.name]


def _multiplied(value: Any, factor: Decimal) -> Number:
    return _computed(_number(value), lambda number: _EXACT.multiply(number, factor))


def _rounded(value: Any, decimals: int) -> Number:
    return _computed(_number(value), lambda number: number.quantize(Decimal(1).scaleb(-decimals), context=_ROUNDED))


def _milliseconds(value: Any) -> Any:
    number = _number(value)
    if not 0 <= number < _MILLISECONDS_BEGIN:
        raise NotApplicable(f"only 0 to {_MILLISECONDS_BEGIN - 1} is taken for seconds")
    return _multiplied(number, Decimal(1000))


def _from_text(value: Any) -> Any:
    if isinstance(value, Number):
        return value
    text = _text(value).strip()
    try:
        if not _is_number(text):
            hint = "; number(,) reads a decimal comma" if _comma_number(text) else ""
            raise NotApplicable(f"the text is not a number as JSON writes it, such as 19.90{hint}")
        check_number(text)
    except ValueError:
        raise NotApplicable("the number is out of range") from None
    return Number(text)


def _from_comma_text(value: Any) -> Any:
    if isinstance(value, Number):
        return value
    found = _comma_number(_text(value).strip())
    if found is None:
        raise NotApplicable("the text is not a number with a decimal comma, such as 19,90 or 1.299,00")
    sign, plain, decimals, grouped, _, decimals_of_grouped = found.groups()
    whole = plain or "".join(one for one in grouped if one.isdigit())
    fraction = decimals or decimals_of_grouped
    return _from_text(f"{sign}{whole}.{fraction}" if fraction else f"{sign}{whole}")


def _with_offset(offset: str, value: Any) -> Any:
    text = _text(value).strip()
    for one in (text, f"{text}{offset}"):
        try:
            parse_instant(one)
        except ValueError:
            continue
        return value if one == value else one
    raise NotApplicable("the text is not a time such as 2026-11-28T15:10:17, with or without an offset")


def _from_json(value: Any) -> Any:
    if isinstance(value, dict | list):
        return value
    try:
        return Source(_text(value).encode()).value
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        raise NotApplicable("the text is not JSON") from None


def _computed(number: Number, compute: Callable[[Number], Decimal]) -> Number:
    """Return the result of a computation without exponent and trailing zeros.

    If the result equals the field's number, return that number as the event spells it.
    """
    try:
        result = compute(number)
    except DecimalException:
        raise NotApplicable(f"the result has more than {_DIGITS} digits") from None
    if result == number:
        return number
    text = format(result, "f")
    return Number(text.rstrip("0").rstrip(".") if "." in text else text)


def _number(value: Any) -> Number:
    if not isinstance(value, Number):
        hint = "; number() reads one" if isinstance(value, str) else ""
        raise NotApplicable(f"the field is {_kind(value)}, not a number{hint}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        hint = "; text() makes it one" if isinstance(value, Number) else ""
        raise NotApplicable(f"the field is {_kind(value)}, not text{hint}")
    return value


def _kind(value: Any) -> str:
    if value is MISSING:
        return "missing"
    if value is None:
        return "null"
    kinds = {bool: "true or false", Number: "a number", dict: "an object", list: "an array", str: "text"}
    return next((name for kind, name in kinds.items() if isinstance(value, kind)), "a number out of range")


def _spelled_otherwise(change: Callable[[str], str]) -> Callable[[Any], Any]:
    def changed(value: Any) -> Any:
        text = _text(value)
        other = change(text)
        return value if other == text else other

    return changed


_PLAIN: Final[dict[str, Callable[[Any], Any]]] = {
    "milliseconds": _milliseconds,
    "number": _from_text,
    "text": lambda value: value.text if isinstance(value, Number) else _text(value),
    "lower": _spelled_otherwise(str.lower),
    "upper": _spelled_otherwise(str.upper),
    "trim": _spelled_otherwise(str.strip),
    "utc": partial(_with_offset, "Z"),
    "json": _from_json,
}
