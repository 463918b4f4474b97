"""A body taken apart into its events, byte for byte: a sound one by a parser in C, an odd one by its brackets."""

import re
from codecs import BOM_UTF8
from typing import Annotated, Final, NamedTuple

import msgspec

from bridge.http.problems import Code, Problem
from schemas.raw_event import MAX_EVENT_ID

LINES_TYPES: Final = (b"application/x-ndjson", b"application/ndjson", b"application/jsonl", b"application/x-jsonlines")

_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Document(msgspec.Struct, gc=False):
    events: msgspec.Raw = msgspec.Raw(b"")
    event_id: msgspec.Raw = msgspec.Raw(b"")
    event_type: msgspec.Raw = msgspec.Raw(b"")


class _Identity(msgspec.Struct, gc=False):
    event_id: Annotated[str, msgspec.Meta(max_length=MAX_EVENT_ID)] | None = None


_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_document = msgspec.json.Decoder(_Document).decode
_identity = msgspec.json.Decoder(_Identity).decode

_BLANK = b" \t\r\n"
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{\]},]', re.DOTALL)
_MOST_TOKENS = 200_000
"""Beyond this an odd body would hold up the others for long."""
_NAMES_EVENTS = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"events"[ \t\r\n]*:[ \t\r\n]*\[')
_EVENTS_NAME = b'"events"'


class Elements(NamedTuple):
    """The events of a body; `batch` is false for one that stood alone."""

    values: list[bytes]
    batch: bool


class Element(NamedTuple):
    """What an event says of its own id: `missing` asks for one to be assigned; neither is an id the stream will refuse."""

    event_id: str | None
    missing: bool


def split(body: bytes, *, lines: bool) -> Elements:
    """The events of a body; raises Problem if it holds none, or can't be taken apart."""
    # Before JSON it means nothing, and is no event's.
    body = body.removeprefix(BOM_UTF8)
    if lines:
        found = Elements([line for line in body.split(b"\n") if line and not line.isspace()], batch=True)
    else:
        found = (_array_elements if body.lstrip(_BLANK).startswith(b"[") else _object_elements)(body)
    if not found.values:
        raise Problem(Code.NO_EVENTS)
    return found


def _array_elements(text: bytes) -> Elements:
    try:
        return Elements([bytes(one) for one in _array(text)], batch=True)
    except _UNREADABLE:
        return Elements(_by_brackets(text), batch=True)


def _object_elements(body: bytes) -> Elements:
    """`{"events": [...]}`, or else one event: whatever else it is, the stream says."""
    try:
        document = _document(body)
    except _UNREADABLE:
        if match := _NAMES_EVENTS.match(body):
            return Elements(_by_brackets(body[match.end() - 1 :], closing=True), batch=True)
        return Elements([] if body.isspace() or not body else [body], batch=False)
    events = bytes(document.events)
    if not events.startswith(b"[") or bytes(document.event_type):
        return Elements([body], batch=False)
    if body.count(_EVENTS_NAME) - events.count(_EVENTS_NAME) > 1:
        raise Problem(Code.INVALID_PAYLOAD_JSON, "the body names `events` twice")
    return _array_elements(events)


def _by_brackets(text: bytes, *, closing: bool = False) -> list[bytes]:
    """The elements of an array that no parser takes, cut at its own commas: each is judged by the stream for itself.

    With `closing`, the object around the array ends after it.
    """
    depth, begin, found = 0, 0, []
    for count, token in enumerate(_TOKEN.finditer(text)):
        mark = token[0]
        if count > _MOST_TOKENS:
            break
        if mark in (b"[", b"{"):
            depth += 1
            if depth == 1:
                begin = token.end()
        elif mark in (b"]", b"}"):
            depth -= 1
        if (mark == b"," and depth == 1) or depth == 0:
            found.append(text[begin : token.start()].strip(_BLANK))
            begin = token.end()
        if depth == 0:
            rest = text[begin:].strip(_BLANK)
            if mark != b"]" or rest != (b"}" if closing else b""):
                break
            return [] if found == [b""] else found
    raise Problem(Code.INVALID_PAYLOAD_JSON, "the array of events does not end as it should; nothing of it was taken")


def identify(value: bytes) -> Element:
    """The event's own id."""
    try:
        event_id = _identity(value).event_id
    except _UNREADABLE:
        return Element(None, missing=not _has_id(value))
    # An empty one is there, and no good.
    return Element(event_id or None, missing=event_id is None)


def _has_id(value: bytes) -> bool:
    """Whether an odd event has an id of its own all the same, which is then not to be contradicted."""
    if b'"event_id"' not in value:
        return False
    try:
        given = bytes(_document(value).event_id)
    except _UNREADABLE:
        return True
    return given not in (b"", b"null")
