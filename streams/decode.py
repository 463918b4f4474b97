"""From a raw value's bytes to version 1's fields: quickly for what fits, with pydantic's last word on what doesn't."""

import re
from typing import Any

import msgspec

from schemas.headers import EVENT_ID, SCRIPT_ID, SITE_ID
from schemas.raw_event import ABSENT, MAX_BYTES, MAX_INTEGER, RawFields
from schemas.reasons import ErrorClass
from schemas.upcast import UPCASTERS, upcast
from schemas.vouched import Vouched
from streams import diagnose
from streams.rejection import Rejection

_decode_fields = msgspec.json.Decoder(RawFields).decode
# Numbers with a point or an exponent keep their text: as a Decimal 1e0 would come out as the integer 1.
_decode_document = msgspec.json.Decoder(dict[str, Any], float_hook=msgspec.Raw).decode
_encode = msgspec.json.encode

# NUL and surrogates: the first Postgres cannot hold, the second may be lone.
_DOUBTFUL_ESCAPE = re.compile(rb"\\u(?:0000|[dD])")
_LARGE_EXPONENT = re.compile(rb"[0-9][eE][+-]?[0-9]{3}").search
# Any digit as 0, any E as e: a search for two bytes then tells most texts without an exponent, in a quarter of the time.
_DIGIT_OR_E = bytes.maketrans(b"123456789E", b"000000000e")
# Python refuses to read integers longer than this; anything longer than it is looked at digit by digit.
_LONG_TEXT = 4300
_NESTING = 16
# Together with an exponent of two digits still a number that a double can hold.
_MANY_DIGITS = re.compile(rb"[0-9]{200}")
_MANY = 200
_PLAIN_AMOUNT = re.compile(rb'null|-?[0-9]{1,15}(?:\.[0-9]{1,6})?|"[+-]?[0-9]{1,15}(?:\.[0-9]{1,6})?"')


def decode(value: bytes | None, vouched: Vouched | None) -> RawFields:
    """Version 1's fields of a raw value, what is absent filled from what is vouched for.

    Raises Rejection with the error class and what is wrong.
    """
    fields = _quick(value) if value is not None and len(value) <= MAX_BYTES else None
    if fields is None:
        fields = _careful(value, vouched)
    if vouched is not None:
        _fill(fields, vouched)
    if fields.event_id is None or fields.site_id is None or fields.script_id is None:
        missing = next(name for name in ("event_id", "site_id", "script_id") if getattr(fields, name) is None)
        raise Rejection(ErrorClass.SCHEMA_VIOLATION, f"{missing}: Field required", fields)
    return fields


def _quick(value: bytes) -> RawFields | None:
    """The fields, or None when anything at all is unusual: the careful way then decides."""
    if b"\\" in value and _DOUBTFUL_ESCAPE.search(value):
        return None
    try:
        fields = _decode_fields(value)
        if fields.schema_version != 1:
            return None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    # Their JSON was skipped over, not read: not even that it is UTF-8 is known.
    value_is_plain = fields.value is ABSENT or _PLAIN_AMOUNT.fullmatch(fields.value)
    return fields if value_is_plain and _plain(bytes(fields.properties)) else None


def _plain(properties: bytes) -> bool:
    """Whether it is absent, or a shallow object whose text is UTF-8 and whose numbers can all be read back."""
    if properties == b"null" or properties == b"{}":
        return True
    if not properties.startswith(b"{") or len(properties) > _LONG_TEXT:
        return False
    if properties.count(b"{") + properties.count(b"[") > _NESTING or _has_large_number(properties):
        return False
    if properties.isascii():
        return True
    try:
        properties.decode()
    except UnicodeDecodeError:
        return False
    return True


def _has_large_number(text: bytes) -> bool:
    """Whether a number in it may be beyond what a double holds: the careful way then decides."""
    return bool(
        (b"0e" in text.translate(_DIGIT_OR_E) and _LARGE_EXPONENT(text))
        or (len(text) >= _MANY and _MANY_DIGITS.search(text))
    )


def _careful(value: bytes | None, vouched: Vouched | None) -> RawFields:
    """Other versions, unknown fields, long or odd properties, and everything that is wrong."""
    text = diagnose.readable_text(value)
    upcasted = _upcasted(text)
    if upcasted is not None:
        return upcasted
    return diagnose.judge(text, vouched)


def _upcasted(text: str) -> RawFields | None:
    """A sound document of another version or with unknown fields, by way of version 1's own JSON."""
    raw = text.encode()
    if len(raw) > _LONG_TEXT or _DOUBTFUL_ESCAPE.search(raw) or _has_large_number(raw):
        return None
    try:
        document = _decode_document(text)
        version = document.get("schema_version", 1)
        if isinstance(version, bool) or not isinstance(version, int) or not 0 < version <= MAX_INTEGER:
            return None
        if version not in UPCASTERS:
            raise Rejection(
                ErrorClass.UNSUPPORTED_SCHEMA_VERSION,
                f"schema_version {version} is not known here; known: {', '.join(map(str, UPCASTERS))}",
                diagnose.identity(document),
            )
        fields = _decode_fields(_encode(upcast(document, version)))
    except (msgspec.MsgspecError, RecursionError, TypeError, OverflowError):
        return None
    sound = bytes(fields.properties)[:1] in (b"{", b"n") and _PLAIN_AMOUNT.fullmatch(fields.value)
    return fields if sound else None


def _fill(fields: RawFields, vouched: Vouched) -> None:
    """Fills what is absent from what is vouched for; a conflict is a violation."""
    for name, header in (("site_id", SITE_ID), ("script_id", SCRIPT_ID), ("event_id", EVENT_ID)):
        value = getattr(vouched, name)
        if value is None:
            continue
        if getattr(fields, name) is None:
            setattr(fields, name, value)
        elif getattr(fields, name) != value:
            raise _conflict(name, header, fields)


def _conflict(name: str, header: str, fields: RawFields) -> Rejection:
    return Rejection(ErrorClass.SCHEMA_VIOLATION, f"{name}: differs from the header {header}", fields)
