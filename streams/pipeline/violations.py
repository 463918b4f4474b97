"""Texts for an event's violations of the contract, in JSON's terms.

A text has the field, the rule, and a hint at the usual mistake.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.events.raw_event import parse_instant
from schemas.kafka.headers import bounded_text

_MOST_SHOWN = 40
_NAMES_IN_2: Final = {"value": "amount", "url": "page.url", "referrer": "page.referrer"}
_MEANT: Final[Mapping[str, tuple[str, ...]]] = {
    "event_id": ("eventId", "messageId", "message_id", "id", "uuid"),
    "event_type": ("eventType", "event", "event_name", "eventName", "name", "type"),
    "occurred_at": ("occurredAt", "timestamp", "originalTimestamp", "time", "ts", "created_at", "createdAt"),
    "site_id": ("siteId",),
    "script_id": ("scriptId",),
}
"""Names that other products use for fields of the contract, with the contract's names."""

# The years 2000 to 2099 in milliseconds since the epoch.
_CENTURY: Final = range(946_684_800_000, 4_102_444_800_000)
_WITHOUT_OFFSET = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?", re.ASCII)
_DIGITS = re.compile(r"[0-9]{1,30}", re.ASCII)


def quoted(text: str) -> str:
    """Quote the beginning of a sender's text for an error. Single quotes in the text are replaced.

    Dead letters are grouped by their error without its quoted parts, so that a quote within a quote would split a
    group. Characters that UTF-8 or Postgres can't represent are replaced. Line breaks are replaced too, because a line
    break in an error marks the beginning of Postgres' DETAIL.
    """
    shown = text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
    return "'" + bounded_text(shown.replace("'", "’").replace("\n", " ")) + "'"


def json_type(value: Any) -> str:
    """Return JSON's name for the type of a decoded value."""
    names = {list: "an array", dict: "an object", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def unit_hint(value: int) -> str:
    """Return a hint at the unit of a time given as a number; '' if it is a time of this century in milliseconds."""
    if value not in _CENTURY:
        units = {"seconds": value * 1000, "microseconds": value // 1000, "nanoseconds": value // 10**6}
        for unit, in_ms in units.items():
            if in_ms in _CENTURY:
                return f"{value} looks like {unit}; milliseconds are meant"
    return ""


def contract_violations(error: ValidationError, document: Mapping[str, Any], version: int) -> dict[str, str]:
    """Return a text for each field that breaks the contract, by the field's name in version 1.

    The text itself uses the field's name in schema version `version`, the one of the event's document.
    """
    found: dict[str, str] = {}
    for one in error.errors(include_url=False):
        field = str(one["loc"][0])
        name = _NAMES_IN_2.get(field, field) if version > 1 else field
        found.setdefault(field, f"{name}: {_words(field, one, document)}")
    return found


def _words(field: str, error: ErrorDetails, document: Mapping[str, Any]) -> str:
    value, limits = error["input"], error.get("ctx", {})
    match error["type"]:
        case "missing":
            return _missing(field, document)
        case "string_type":
            hint = "; write it in quotes" if json_type(value) == "a number" else ""
            return f"must be a string, not {json_type(value)}{hint}"
        case "int_type":
            return _no_integer(value)
        case "dict_type":
            hint = "; send the object itself" if isinstance(value, str) and value.lstrip().startswith("{") else ""
            return f"must be an object, not {json_type(value)}{hint}"
        case "string_too_short":
            return "must not be empty"
        case "string_too_long":
            return f"has {len(value)} characters, more than {limits['max_length']}"
        case "greater_than" | "greater_than_equal":
            return f"must be at least {limits.get('ge', limits.get('gt', 0) + 1)}"
        case "less_than_equal":
            return f"must be at most {limits['le']}"
        case "string_unicode":
            return "holds a lone surrogate"
        case "value_error" if field in _OWN_RULES:
            return _OWN_RULES[field](value, error["msg"].removeprefix("Value error, "))
        case _:
            return error["msg"]


def _missing(field: str, document: Mapping[str, Any]) -> str:
    other = next((name for name in _MEANT.get(field, ()) if name in document), None)
    return "is required" if other is None else f"is required; {quoted(other)} is no field of the contract"


def _no_integer(value: Any) -> str:
    if isinstance(value, str):
        hint = "; write it without quotes" if _DIGITS.fullmatch(value) else ""
        return f"must be an integer, not a string{hint}"
    kind = "a number with a point or an exponent" if isinstance(value, msgspec.Raw) else json_type(value)
    return f"must be an integer, not {kind}"


def _no_instant(value: Any, rule: str) -> str:
    if isinstance(value, str):
        if _DIGITS.fullmatch(value):
            return f"{unit_hint(int(value)) or quoted(value)}; write the number without quotes"
        if _WITHOUT_OFFSET.fullmatch(value) and _is_instant(f"{value}Z"):
            return f"{quoted(value)} is not an RFC 3339 time with an offset; append Z if it is UTC"
        return f"{quoted(value)} is not an RFC 3339 time with an offset, such as '2026-01-31T08:30:00Z'"
    if isinstance(value, msgspec.Raw):
        text = bytes(value).decode()
        whole = int(float(text)) if abs(float(text)) < 1e30 else 0
        return unit_hint(whole) or f"{text[:_MOST_SHOWN]} is not an integer; round it to milliseconds"
    if isinstance(value, int) and not isinstance(value, bool):
        return unit_hint(value) or f"{str(value)[:_MOST_SHOWN]} is out of range as {rule.removesuffix(' out of range')}"
    return f"{rule}, not {json_type(value)}"


def _is_instant(text: str) -> bool:
    try:
        parse_instant(text)
    except ValueError:
        return False
    return True


def _no_amount(value: Any, rule: str) -> str:
    if not rule.startswith("must be a number"):
        return rule
    if not isinstance(value, str):
        return f"{rule}, not {json_type(value)}"
    if "," in value:
        hint = "; write a point before the decimals, and nothing between thousands"
    else:
        hint = "; `currency` is a field of its own" if any(mark.isdigit() for mark in value) else ""
    return f"{quoted(value)} is not a number{hint}"


_OWN_RULES: Final[Mapping[str, Callable[[Any, str], str]]] = {
    "occurred_at": _no_instant,
    "sent_at": _no_instant,
    "value": _no_amount,
}
