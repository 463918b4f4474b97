"""A body taken apart into its events, byte for byte: a sound one by a parser in C, an odd one by its brackets."""

import re
from codecs import BOM_UTF8
from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated, Any, Final, NamedTuple

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


_document = msgspec.json.Decoder(_Document).decode
_identity = msgspec.json.Decoder(_Identity).decode

_BLANK = b" \t\r\n"
_LINE = re.compile(rb"\S[^\n]*+")
# An unended string is one to the end of the body: so that it is not tried again from each of its escaped quotes.
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
_TEXT = rb'[^"\[\]{}]++|' + _STRING
_FLAT = rb"[\[{](?:" + _TEXT + rb")*+[\]}]"
_SHALLOW = rb"[\[{](?:" + _TEXT + rb"|" + _FLAT + rb")*+[\]}]"
# Up to the next comma of the array or bracket; what is nested once or twice is passed over at once.
_BETWEEN_EVENTS = re.compile(rb'(?:[^",\[\]{}]++|' + _STRING + rb"|" + _SHALLOW + rb")*+([,\[\]{}])?", re.DOTALL)
_WITHIN_EVENT = re.compile(rb"(?:" + _TEXT + rb"|" + _SHALLOW + rb")*+([\[\]{}])?", re.DOTALL)
_MOST_STEPS = 12_000
_MOST_MARKS = 128 * 1024
"""Both bound how long an odd body holds up the others. A body of 1 MiB with a string for every 16 bytes is within them."""
_NAMES_EVENTS = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"events"[ \t\r\n]*:[ \t\r\n]*\[')
_EVENTS_NAME = b'"events"'
_MARKS = (b'"', b"[", b"{")
_NONE = msgspec.Raw(b"")


class Elements(NamedTuple):
    """The events of a body; `batch` is false for one that stood alone."""

    values: list[bytes]
    batch: bool


class Element(NamedTuple):
    """What an event says of its own id: `missing` asks for one to be assigned; neither is an id the stream will refuse."""

    event_id: str | None
    missing: bool


def split(body: bytes, *, lines: bool, most: int) -> Elements:
    """The events of a body, at most so many; raises Problem if it holds none or more, or can't be taken apart.

    Of too many, no more than `most` are made into objects: what a body costs is bounded before it is refused.
    """
    # Before JSON it means nothing, and is no event's.
    body = body.removeprefix(BOM_UTF8)
    if lines:
        found = Elements(_lines(body, most), batch=True)
    elif body.lstrip(_BLANK).startswith(b"["):
        found = Elements(_array_elements(body, most), batch=True)
    else:
        found = _object_elements(body, most)
    if not found.values:
        raise Problem(Code.NO_EVENTS)
    return found


def _too_many(most: int) -> Problem:
    return Problem(Code.TOO_MANY_EVENTS, f"at most {most} events")


def _lines(body: bytes, most: int) -> list[bytes]:
    """Each line that is not blank, with its own blanks."""
    found: list[bytes] = []
    end = 0
    for match in _LINE.finditer(body):
        if len(found) == most:
            raise _too_many(most)
        begin = body.rfind(b"\n", end, match.start()) + 1 or end
        end = match.end()
        found.append(body[begin:end])
    return found


@cache
def _decoder(most: int) -> Callable[[bytes], Sequence[msgspec.Raw]]:
    """Decodes an array's elements, one more than `most` of them; what follows is read, but not made into objects."""
    fields: list[tuple[str, Any, Any]] = [(f"element_{index}", msgspec.Raw, _NONE) for index in range(most + 1)]
    first_ones = msgspec.defstruct("_FirstOnes", fields, array_like=True, gc=False)
    decode = msgspec.json.Decoder(first_ones).decode
    return lambda text: msgspec.structs.astuple(decode(text))


def _array_elements(text: bytes, most: int) -> list[bytes]:
    try:
        elements = _decoder(most)(text)
    except _UNREADABLE:
        return _by_brackets(text, most)
    if elements[most] is not _NONE:
        raise _too_many(most)
    return [bytes(one) for one in elements if one is not _NONE]


def _object_elements(body: bytes, most: int) -> Elements:
    """`{"events": [...]}`, or else one event: whatever else it is, the stream says."""
    try:
        document = _document(body)
    except _UNREADABLE:
        if match := _NAMES_EVENTS.match(body):
            return Elements(_by_brackets(body[match.end() - 1 :], most, closing=True), batch=True)
        return Elements([] if body.isspace() or not body else [body], batch=False)
    events = bytes(document.events)
    if not events.startswith(b"[") or bytes(document.event_type):
        return Elements([body], batch=False)
    if body.count(_EVENTS_NAME) - events.count(_EVENTS_NAME) > 1:
        raise Problem(Code.INVALID_PAYLOAD_JSON, "the body names `events` twice")
    return Elements(_array_elements(events, most), batch=True)


def _by_brackets(text: bytes, most: int, *, closing: bool = False) -> list[bytes]:
    """The elements of an array that no parser takes, cut at its own commas: each is judged by the stream for itself.

    With `closing`, the object around the array ends after it.
    """
    if sum(map(text.count, _MARKS)) > _MOST_MARKS:
        raise Problem(Code.INVALID_PAYLOAD_JSON, "it is no JSON, and has too many strings and brackets to be cut apart")
    place = begin = text.index(b"[") + 1
    depth, found = 1, []
    for _ in range(_MOST_STEPS):
        match = (_BETWEEN_EVENTS if depth == 1 else _WITHIN_EVENT).match(text, place)
        mark = match and match[1]
        if not match or not mark:
            break
        place = match.end()
        if mark in b"[{":
            depth += 1
        elif mark in b"]}":
            depth -= 1
        if depth == 0 or mark == b",":
            found.append(text[begin : place - 1].strip(_BLANK))
            begin = place
        if len(found) > most:
            raise _too_many(most)
        if depth == 0:
            rest = text[place:].strip(_BLANK)
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
