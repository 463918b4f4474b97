"""From a raw value's bytes to version 1's fields: quickly for what fits, with pydantic's last word on what doesn't."""

import re
from decimal import Decimal
from typing import Any

import msgspec

from schemas.headers import EVENT_ID, SCRIPT_ID, SITE_ID, Headers, last, last_int
from schemas.raw_event import MAX_BYTES, MAX_INTEGER, RawFields
from schemas.reasons import ErrorClass
from schemas.upcast import UPCASTERS, with_extra
from streams import diagnose
from streams.rejection import Rejection

_decode_fields = msgspec.json.Decoder(RawFields).decode
_decode_document = msgspec.json.Decoder(dict[str, Any], float_hook=Decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode

_LARGE_EXPONENT = re.compile(rb"[0-9][eE][+-]?[0-9]{3}")
# Python refuses to read integers longer than this; anything longer than it is looked at digit by digit.
_LONG_TEXT = 4300
_NESTING = 16


def decode(value: bytes | None, headers: Headers) -> RawFields:
    """Version 1's fields of a raw value, what is absent filled from the gateway's headers.

    Raises Rejection with the error class and what is wrong.
    """
    fields = _quick(value) if value is not None and len(value) <= MAX_BYTES else None
    if fields is None:
        fields = _careful(value, headers)
    if headers:
        _fill(fields, headers)
    if fields.event_id is None or fields.site_id is None or fields.script_id is None:
        missing = next(name for name in ("event_id", "site_id", "script_id") if getattr(fields, name) is None)
        raise Rejection(ErrorClass.SCHEMA_VIOLATION, f"{missing}: Field required", fields)
    return fields


def _quick(value: bytes) -> RawFields | None:
    """The fields, or None when anything at all is unusual: the careful way then decides."""
    if b"\\u0000" in value or b"\\ud" in value or b"\\uD" in value:
        return None
    try:
        fields = _decode_fields(value)
        if fields.schema_version != 1:
            return None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return fields if _plain(bytes(fields.properties)) else None


def _plain(properties: bytes) -> bool:
    """Whether it is absent, or a shallow object whose text is UTF-8 and whose numbers can all be read back."""
    if properties == b"null" or properties == b"{}":
        return True
    if not properties.startswith(b"{") or len(properties) > _LONG_TEXT:
        return False
    if properties.count(b"{") + properties.count(b"[") > _NESTING or _LARGE_EXPONENT.search(properties):
        return False
    if properties.isascii():
        return True
    try:
        properties.decode()
    except UnicodeDecodeError:
        return False
    return True


def _careful(value: bytes | None, headers: Headers) -> RawFields:
    """Other versions, unknown fields, long or odd properties, and everything that is wrong."""
    text = diagnose.readable_text(value)
    upcasted = _upcasted(text)
    if upcasted is not None:
        return upcasted
    return diagnose.judge(text, headers)


def _upcasted(text: str) -> RawFields | None:
    """A sound document of another version or with unknown fields, by way of version 1's own JSON."""
    if "\\u0000" in text or "\\ud" in text or "\\uD" in text or _LARGE_EXPONENT.search(text.encode()):
        return None
    if len(text) > _LONG_TEXT:
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
        fields = _decode_fields(_encode(with_extra(UPCASTERS[version](document))))
    except (msgspec.MsgspecError, RecursionError, TypeError, OverflowError):
        return None
    return fields if bytes(fields.properties)[:1] in (b"{", b"n") else None


def _fill(fields: RawFields, headers: Headers) -> None:
    """Fills what is absent from the gateway's headers; a conflict is a violation."""
    site_id = last_int(headers, SITE_ID)
    if site_id is not None and 0 < site_id <= MAX_INTEGER:
        if fields.site_id is None:
            fields.site_id = site_id
        elif fields.site_id != site_id:
            raise _conflict("site_id", SITE_ID, fields)
    for name, header in (("script_id", SCRIPT_ID), ("event_id", EVENT_ID)):
        text = last(headers, header)
        if not text or len(text) > 128 or "\x00" in text:
            continue
        if getattr(fields, name) is None:
            setattr(fields, name, text)
        elif getattr(fields, name) != text:
            raise _conflict(name, header, fields)


def _conflict(name: str, header: str, fields: RawFields) -> Rejection:
    return Rejection(ErrorClass.SCHEMA_VIOLATION, f"{name}: differs from the header {header}", fields)
