"""Decoding of a raw event's value (the record's JSON) to the fields of the contract's version 1.

A fast reader handles valid values. Any other value is read again by the pydantic model, which finds the violations.
"""

import re
from decimal import InvalidOperation
from typing import Any, Final

import msgspec

from schemas.events.raw_event import ABSENT, MAX_BYTES, MAX_DEPTH, RawFields
from schemas.events.upcast import upcast
from schemas.kafka.headers import EVENT_ID, SCRIPT_ID, SITE_ID
from schemas.kafka.vouched import Vouched
from streams.pipeline import diagnose
from streams.pipeline.json_text import has_unsound_escape, nesting, numbers_fit
from streams.pipeline.rejection import violated

_decode_fields = msgspec.json.Decoder(RawFields).decode
# Values are kept as JSON text: a value that is only copied needs no Python object, and its spelling stays the same.
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_version = msgspec.json.Decoder(int).decode
_encode = msgspec.json.encode
_OBJECTS: Final = frozenset({"page", "properties"})
"""Fields whose content is changed or checked by upcasting from another version."""

_PLAIN_AMOUNT = re.compile(rb'null|-?[0-9]{1,15}(?:\.[0-9]{1,6})?|"[+-]?[0-9]{1,15}(?:\.[0-9]{1,6})?"')
_DOUBTFUL = (msgspec.MsgspecError, ValueError, InvalidOperation, KeyError, RecursionError)
_WHITESPACE = b" \t\r\n"
_EMPTY: Final[dict[bytes, Any]] = {b"null": None, b"[]": []}
"""Values that are accepted in place of an object; PHP encodes an empty object as an array."""


def decode(value: bytes | None, vouched: Vouched | None) -> RawFields:
    """Return the fields of a raw event's JSON, in the form of the contract's version 1.

    A field that is absent in the JSON is filled from the vouched identity: the site, script and event id that a gateway
    has confirmed by its signature. Raises Rejection with the error class and reason.
    """
    fields = _quick(value) if value is not None and len(value) <= MAX_BYTES else None
    if fields is None:
        fields = diagnose.judge(diagnose.readable_text(value), vouched)
    if vouched is not None:
        _fill(fields, vouched)
    if fields.event_id is None or fields.site_id is None or fields.script_id is None:
        # The contract requires these fields. The exact reader raises the error, because it has the messages.
        return diagnose.judge(diagnose.readable_text(value), vouched)
    return fields


def _quick(value: bytes) -> RawFields | None:
    """Return the fields of a valid document; None if the fast reader can't rule out a violation.

    After None, the slower reader of `diagnose` decides.
    """
    if has_unsound_escape(value):
        return None
    try:
        try:
            fields: RawFields | None = _decode_fields(value)
        except msgspec.ValidationError:
            fields = None
        if fields is None or fields.schema_version != 1:
            fields = _upcasted(value)
        else:
            # The decoder does not parse the value of `properties`, and does not check that the value is UTF-8.
            _check_object(bytes(fields.properties), MAX_DEPTH - 1)
        if fields.value is not ABSENT and not _PLAIN_AMOUNT.fullmatch(fields.value):
            fields.value = diagnose.amount_text(bytes(fields.value))
    except _DOUBTFUL:
        return None
    return fields


def _upcasted(value: bytes) -> RawFields:
    """Read a document of another schema version, or one with unknown fields, and convert it to version 1.

    Raises one of the exceptions in _DOUBTFUL if the document may be invalid; the slower reader of `diagnose` then
    decides.
    """
    _check_object(value.strip(_WHITESPACE), MAX_DEPTH)
    document: dict[str, Any] = _decode_object(value)
    version = _decode_version(document.get("schema_version", b"1"))
    for name in _OBJECTS & document.keys():
        text = bytes(document[name])
        if text.startswith(b"{"):
            document[name] = _decode_object(text)
        elif text in _EMPTY:
            document[name] = _EMPTY[text]
    fields = _decode_fields(_encode(upcast(document, version)))
    properties = bytes(fields.properties)
    if properties not in _EMPTY and not properties.startswith(b"{"):
        raise ValueError("properties are not an object")
    return fields


def _check_object(text: bytes, depth: int) -> None:
    """Raise ValueError unless the JSON is an object in UTF-8, nested at most `depth` deep, or is null or [].

    All numbers in it must fit a double and Postgres' numeric type.
    """
    if text in _EMPTY:
        return
    if not text.startswith(b"{"):
        raise ValueError("no object")
    if text.count(b"{") + text.count(b"[") > depth and nesting(text) > depth:
        raise ValueError("nested too deep")
    if not numbers_fit(text):
        raise ValueError("a number out of range")
    if not text.isascii():
        text.decode()


def _fill(fields: RawFields, vouched: Vouched) -> None:
    """Fill a document's absent fields from the vouched identity, the one that a gateway has confirmed by its signature.

    Raises Rejection if a field that is present differs from the vouched identity.
    """
    conflicts = []
    for name, header in (("site_id", SITE_ID), ("script_id", SCRIPT_ID), ("event_id", EVENT_ID)):
        value = getattr(vouched, name)
        if value is None:
            continue
        if getattr(fields, name) is None:
            setattr(fields, name, value)
        elif getattr(fields, name) != value:
            conflicts.append(f"{name}: differs from the header {header}")
    if conflicts:
        raise violated(conflicts, fields)
