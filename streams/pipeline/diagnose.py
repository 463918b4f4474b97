"""Diagnosis of a raw event's value: the slow and exact reader, which finds every reason to reject the value."""

import json
from collections.abc import Container
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NoReturn

import msgspec
from pydantic import ValidationError

from schemas.events.raw_event import (
    ABSENT,
    CONTRACT_NAMES,
    MAX_BYTES,
    MAX_DEPTH,
    MAX_EVENT_ID,
    MAX_EXPONENTS,
    MAX_INTEGER,
    MAX_SCRIPT_ID,
    RawEvent,
    RawFields,
    parse_amount,
    parse_instant,
)
from schemas.events.upcast import UPCASTERS, upcast
from schemas.kafka.vouched import Vouched
from schemas.reasons import ErrorClass
from streams.pipeline.json_text import (
    MANY_DIGITS,
    check_number,
    exponents,
    first_deeper,
    has_unsound_escape,
    nesting,
    numbers_fit,
    plain_number,
)
from streams.pipeline.rejection import Rejection, violated
from streams.pipeline.violations import contract_violations, json_type, quoted

_KEY = "(key)"
_WITH_TEXT = (list, dict, str)
_encode = msgspec.json.encode


@dataclass(slots=True)
class PartialIdentity:
    """The valid parts of a rejected event's identity, and the fields that the normaliser checks.

    The identity is site, script and event id. A field is None where the document has no valid value.
    """

    event_id: str | None = None
    site_id: int | None = None
    script_id: str | None = None
    occurred_at: datetime | int | None = None
    sent_at: datetime | int | None = None
    currency: str | None = None


def invalid(message: str) -> Rejection:
    """Return the rejection for a value that is not a JSON object, or not one that can be stored."""
    return Rejection(ErrorClass.INVALID_PAYLOAD_JSON, message)


def too_long(value: bytes | None) -> str:
    """Return a text with the value's size and the limit if it exceeds the limit, else an empty text."""
    return f"{len(value)} bytes, more than {MAX_BYTES}" if value is not None and len(value) > MAX_BYTES else ""


def readable_text(value: bytes | None) -> str:
    """Return the raw bytes as text. Raises Rejection if they exceed the limits of size or nesting, or are not UTF-8."""
    if not value:
        raise invalid("the value is null" if value is None else "the value is empty")
    if why := too_long(value):
        raise invalid(why)
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise invalid(f"not UTF-8 at byte {error.start}") from None
    if nesting(value) > MAX_DEPTH:
        _check_nesting(value)
    return text


def _check_nesting(value: bytes) -> None:
    """Raise Rejection, with the position, if the text is nested too deep. The text need not be valid JSON."""
    index = first_deeper(value, MAX_DEPTH)
    if index is not None:
        raise invalid(f"nested deeper than {MAX_DEPTH} at character {len(value[:index].decode())}")


def judge(text: str, vouched: Vouched | None) -> RawFields:
    """Validate the JSON text by the contract's pydantic model, and return its fields in the form of version 1.

    Raises Rejection with every violation; each has the field and the rule.
    """
    given = _parse(text)
    whose = _sound(identity(given))
    version = given.get("schema_version", 1)
    if type(version) is int and 0 < version <= MAX_INTEGER:
        if version not in UPCASTERS:
            known = ", ".join(map(str, UPCASTERS))
            message = f"schema_version {version} is not known here; known: {known}"
            raise Rejection(ErrorClass.UNSUPPORTED_SCHEMA_VERSION, message, whose)
    else:
        version = 1
    # This comes after the version, because it may take long, and an event of an unknown version is read again and again.
    unsound = _unsound_text(given, text)
    document = _filled(upcast(given, version), vouched)
    if isinstance(amount := document.get("value"), msgspec.Raw):
        document["value"] = Decimal(str(amount, "utf-8"))
    try:
        event = RawEvent.model_validate(document)
    except ValidationError as error:
        found = contract_violations(error, given, version)
        _read_rest(whose, document, found)
        raise violated(list(dict.fromkeys([*unsound, *found.values()])), whose) from None
    if unsound:
        _read_rest(whose, document, {})
        raise violated(unsound, whose)
    return _fields(event)


def _read_rest(whose: PartialIdentity, document: dict[str, Any], broken: Container[str]) -> None:
    """Read those fields of an invalid document that the normaliser checks.

    Violations that the normaliser finds in them are then reported together with the contract's violations.
    """
    for name in ("occurred_at", "sent_at"):
        if name not in broken and (value := document.get(name)) not in (None, ""):
            setattr(whose, name, value if isinstance(value, int) else parse_instant(value))
    if "currency" not in broken:
        whose.currency = document.get("currency")


def identity(document: dict[str, Any]) -> PartialIdentity:
    """Return those parts of the event's identity (site, script, event id) that have valid types and lengths."""
    event_id, site_id, script_id = (document.get(name) for name in ("event_id", "site_id", "script_id"))
    return PartialIdentity(
        event_id if isinstance(event_id, str) and 0 < len(event_id) <= MAX_EVENT_ID else None,
        site_id if type(site_id) is int and 0 < site_id <= MAX_INTEGER else None,
        script_id if isinstance(script_id, str) and 0 < len(script_id) <= MAX_SCRIPT_ID else None,
    )


def _parse(text: str) -> dict[str, Any]:
    raw = text.encode()
    fit = numbers_fit(raw)
    if not fit and (digits := exponents(raw)) > MAX_EXPONENTS:
        raise invalid(
            f"its numbers take {digits} more digits when written out without exponents, more than {MAX_EXPONENTS}"
        )
    # A value that is only passed on is kept as text, so that the spelling of numbers stays the same.
    floats, integers = (msgspec.Raw, int) if fit else (_checked_decimal, _checked_integer)
    try:
        document = json.loads(text, parse_constant=_refuse_constant, parse_float=floats, parse_int=integers)
    except ValueError as error:
        if "\\" in text:
            _check_nesting(raw)
        place = f" at character {error.pos}" if isinstance(error, json.JSONDecodeError) else ""
        # Some of Python's messages end in "at" themselves.
        raise invalid(f"{getattr(error, 'msg', str(error)).removesuffix(' at')}{place}") from None
    if not isinstance(document, dict):
        raise invalid(f"not an object but {json_type(document)}")
    return document


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _checked_decimal(text: str) -> msgspec.Raw:
    if not plain_number(text):
        check_number(text)
    return msgspec.Raw(text)


def _checked_integer(text: str) -> int:
    if len(text) > MANY_DIGITS:
        check_number(text)
    return int(text)


def _unsound_text(document: dict[str, Any], text: str) -> list[str]:
    """Return the violation for the first string or key of the document that can't be stored; '' if all can be stored.

    Postgres can't store a NUL, and UTF-8 can't encode a lone surrogate.
    """
    if not has_unsound_escape(text.encode()):
        return []
    try:
        # The escape may be in a field that is replaced by a later field of the same name. Only the document that
        # remains counts.
        if not has_unsound_escape(_encode(document)):
            return []
    except UnicodeEncodeError:
        pass
    found = _find_unsound(document)
    return [] if found is None else [f"{_path(found[1]) or 'value'}: holds a {found[0]}"]


def _find_unsound(value: object) -> tuple[str, list[str | int]] | None:
    """Find the first string or key that can't be stored: one with a NUL or a lone surrogate.

    Returns which of both it contains, and the path to it, with the innermost step first.
    """
    # A document may have 60,000 values, so there is no call for those that can't hold a string.
    if isinstance(value, str):
        if "\x00" in value:
            return "NUL", []
        try:
            if not value.isascii():
                value.encode()
        except UnicodeEncodeError:
            return "lone surrogate", []
    elif isinstance(value, list):
        for index, part in enumerate(value):
            if part and isinstance(part, _WITH_TEXT) and (found := _find_unsound(part)) is not None:
                found[1].append(index)
                return found
    elif isinstance(value, dict):
        for name, part in value.items():
            if (found := _find_unsound(name)) is not None:
                found[1].append(_KEY)
                return found
            if part and isinstance(part, _WITH_TEXT) and (found := _find_unsound(part)) is not None:
                found[1].append(name)
                return found
    return None


def _path(steps: list[str | int]) -> str:
    """Return the path to a value as text. Keys that the sender has chosen are quoted.

    Dead letters are grouped by cause (the error without its quoted parts), so a sender's keys make no new groups.
    """
    path = ""
    for step in reversed(steps):
        if isinstance(step, int):
            path += f"[{step}]"
        else:
            own = step == _KEY or (not path and step in CONTRACT_NAMES)
            path += f"{'.' if path else ''}{step if own else quoted(step)}"
    return path


def _sound(whose: PartialIdentity) -> PartialIdentity:
    """Return the identity without those of its texts that can't be stored (with a NUL or a lone surrogate)."""
    for name in ("event_id", "script_id"):
        if _find_unsound(getattr(whose, name)) is not None:
            setattr(whose, name, None)
    return whose


def _filled(document: dict[str, Any], vouched: Vouched | None) -> dict[str, Any]:
    """Return the document with absent and null fields filled from the vouched identity, for the contract's check.

    The vouched identity is the site, script and event id that a gateway has confirmed by its signature.
    """
    filled = dict(document)
    for name in ("site_id", "script_id", "event_id"):
        if filled.get(name) is None:
            filled.pop(name, None)
            if (value := getattr(vouched, name, None)) is not None:
                filled[name] = value
    return filled


def amount_text(text: bytes) -> msgspec.Raw:
    """Return the JSON text of an event's amount in the form that `normalize` reads.

    Raises ValueError or InvalidOperation if the text is not an amount.
    """
    if text.startswith(b'"'):
        given = msgspec.json.decode(text, type=str)
        return ABSENT if parse_amount(given) is None else msgspec.Raw(f'"{given}"'.encode())
    check_number(number := text.decode())
    parse_amount(Decimal(number))
    return msgspec.Raw(text)


def _fields(event: RawEvent) -> RawFields:
    fields = {name: getattr(event, name) for name in RawFields.__struct_fields__}
    fields["value"] = ABSENT if event.value is None else msgspec.Raw(str(event.value).encode())
    fields["properties"] = ABSENT if event.properties is None else msgspec.Raw(_encode(event.properties))
    return RawFields(**fields)
