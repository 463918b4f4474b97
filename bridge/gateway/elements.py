"""Splitting of a body into its events, byte for byte.

A parser in C splits valid JSON. Other bodies are split by their brackets.
"""

import re
from codecs import BOM_UTF8
from collections.abc import Callable, Sequence
from functools import cache
from typing import Annotated, Any, Final, NamedTuple

import msgspec

from bridge.http.problems import Code, Problem
from bridge.publish.forms import (
    BLANK,
    MARKS,
    MOST_MARKS,
    SHALLOW,
    STRING,
    TEXT,
    UNREADABLE,
    beginning_of,
    form_of,
    is_json,
    several_in,
)
from bridge.publish.lines import MAX_LINE_BYTES
from schemas.events.raw_event import MAX_EVENT_ID

LINES_TYPES: Final = (b"application/x-ndjson", b"application/ndjson", b"application/jsonl", b"application/x-jsonlines")


class _Document(msgspec.Struct, gc=False):
    events: msgspec.Raw = msgspec.Raw(b"")
    event_id: msgspec.Raw = msgspec.Raw(b"")
    event_type: msgspec.Raw = msgspec.Raw(b"")


_EventId = Annotated[str, msgspec.Meta(max_length=MAX_EVENT_ID)]


class _Identity(msgspec.Struct, gc=False):
    event_id: _EventId | None = None


_document = msgspec.json.Decoder(_Document).decode
_identity = msgspec.json.Decoder(_Identity).decode
_event_id = msgspec.json.Decoder(_EventId).decode

_LINE = re.compile(rb"\S[^\n]*+")
# Matches up to the next comma of the array, or to the next bracket. A value nested at most twice is one step.
_BETWEEN_EVENTS = re.compile(rb'(?:[^",\[\]{}]++|' + STRING + rb"|" + SHALLOW + rb")*+([,\[\]{}])?", re.DOTALL)
_WITHIN_EVENT = re.compile(rb"(?:" + TEXT + rb"|" + SHALLOW + rb")*+([\[\]{}])?", re.DOTALL)
_MOST_STEPS = 12_000
"""Most strings of an invalid body. With MOST_MARKS, this limits the time to split such a body.

A body of 1 MiB with a string every 16 bytes is within both limits.
"""
_FEWEST_STEPS = 2_500
_BYTES_OF_A_STEP = 16
"""The limit of a small body. It is lower, because many small bodies can arrive at the same time."""
_ESCAPED_NAME = re.compile(rb'\\u[0-9a-fA-F]{4}[^"\\]*+"[ \t\r\n]*+:').search
_NAMES_EVENTS = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"events"[ \t\r\n]*:[ \t\r\n]*\[')
_EVENTS_NAME = b'"events"'
_NONE = msgspec.Raw(b"")


class Elements(NamedTuple):
    """The events of a body. `batch` is False if the body is a single event."""

    values: list[bytes]
    batch: bool


class Element(NamedTuple):
    """The id of an event. `missing` means that the event has none, and the gateway has to assign one.

    If `event_id` is None and `missing` is false, the event has an id that the stream will refuse.
    """

    event_id: str | None
    missing: bool


def split(body: bytes, *, lines: bool, most: int) -> Elements:
    """Split the body into its events. Raises Problem if it contains no event or more than `most`, or can't be split.

    At most `most` events become Python objects, so a body that is refused has a limited cost. `lines` means that the
    Content-Type is that of JSON lines. A body that is one JSON array or object is read as such nevertheless.
    """
    # A byte order mark before the JSON has no meaning, and belongs to no event.
    body = body.removeprefix(BOM_UTF8)
    if form := form_of(body):
        raise _refused(f"the body is {form.name}; send JSON in UTF-8, plain or compressed once with gzip")
    found = _cut(body, lines, most)
    if not found.values:
        raise Problem(Code.NO_EVENTS)
    if not any(value.lstrip(BLANK).startswith(b"{") for value in found.values):
        raise _refused(f"the body contains no event: {beginning_of(body)}; an event is a JSON object")
    return found


def _refused(detail: str) -> Problem:
    return Problem(Code.INVALID_PAYLOAD_JSON, detail)


def _cut(body: bytes, lines: bool, most: int) -> Elements:
    if lines and not _over_lines(body):
        return Elements(_lines(body, most), batch=True)
    if body.lstrip(BLANK).startswith(b"["):
        return Elements(_array_elements(body, most), batch=True)
    return _object_elements(body.strip(BLANK) if lines else body, most)


def _first_line(body: bytes) -> bytes:
    found = _LINE.search(body)
    return found[0].rstrip(BLANK) if found else b""


def _over_lines(body: bytes) -> bool:
    """Return whether a body that is declared as JSON lines is one array or object, possibly over several lines."""
    first = _first_line(body)
    if first.startswith(b"["):
        return is_json(body) or not is_json(first)
    return first.startswith(b"{") and (first == b"{" or is_json(body))


def _too_many(most: int) -> Problem:
    return Problem(Code.TOO_MANY_EVENTS, f"the limit is {most} events; send the rest in another request")


def _lines(body: bytes, most: int) -> list[bytes]:
    """Return each line of the body that is not blank, with its spaces; raises Problem for more than `most`.

    Each line may begin with a byte order mark, as in joined files.
    """
    found: list[bytes] = []
    end = 0
    for match in _LINE.finditer(body):
        if len(found) == most:
            raise _too_many(most)
        begin = body.rfind(b"\n", end, match.start()) + 1 or end
        end = match.end()
        found.append(body[begin:end].removeprefix(BOM_UTF8))
    return found


@cache
def _decoder(most: int) -> Callable[[bytes], Sequence[msgspec.Raw]]:
    """Return a decoder of an array's elements.

    The decoder creates Python objects for the first `most` + 1 elements; it only parses further elements.
    """
    fields: list[tuple[str, Any, Any]] = [(f"element_{index}", msgspec.Raw, _NONE) for index in range(most + 1)]
    first_ones = msgspec.defstruct("_FirstOnes", fields, array_like=True, gc=False)
    decode = msgspec.json.Decoder(first_ones).decode
    return lambda text: msgspec.structs.astuple(decode(text))


def _array_elements(text: bytes, most: int) -> list[bytes]:
    try:
        elements = _decoder(most)(text)
    except UNREADABLE:
        return _by_brackets(text, most)
    if elements[most] is not _NONE:
        raise _too_many(most)
    return [bytes(one) for one in elements if one is not _NONE]


def _object_elements(body: bytes, most: int) -> Elements:
    """Return the events of `{"events": [...]}`, or the object as one event. Their content is checked later."""
    try:
        document = _document(body)
    except UNREADABLE:
        if match := _NAMES_EVENTS.match(body):
            return Elements(_by_brackets(body[match.end() - 1 :], most, closing=True), batch=True)
        if is_json(_first_line(body)):
            return Elements(_lines(body, most), batch=True)
        return Elements([] if body.isspace() or not body else [body], batch=False)
    events = bytes(document.events)
    if not events.startswith(b"[") or bytes(document.event_type):
        return Elements([body], batch=False)
    if body.count(_EVENTS_NAME) - events.count(_EVENTS_NAME) > 1:
        raise _refused("the body has the name `events` twice; send one array")
    if b"\\" in body and _ESCAPED_NAME(body.replace(events, b"", 1)):
        # It may be `events` a second time, whose events would be lost.
        raise _refused(
            "a field beside `events` has an escape such as \\u0065 in its name: write the name without escapes"
        )
    if several := several_in(body.replace(events, b"[]", 1)):
        raise _refused(
            f"beside `events`, {several} was found; send all events under `events`; nothing of it was accepted"
        )
    return Elements(_array_elements(events, most), batch=True)


def _by_brackets(text: bytes, most: int, *, closing: bool = False) -> list[bytes]:
    """Return the elements of an invalid JSON array, cut at the commas of the array. Each is checked later.

    With `closing`, the array is the value of an object that ends after the array.
    """
    if sum(map(text.count, MARKS)) > MOST_MARKS:
        raise _refused("the body is not JSON, and has too many strings and brackets to be split")
    place = begin = text.index(b"[") + 1
    depth, found = 1, []
    for _ in range(min(_MOST_STEPS, _FEWEST_STEPS + len(text) // _BYTES_OF_A_STEP)):
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
            found.append(text[begin : place - 1].strip(BLANK))
            begin = place
        if depth == 0 and found[-1] == b"":
            # As in JavaScript, a comma may follow the last element.
            found.pop()
        if len(found) > most:
            raise _too_many(most)
        if depth == 0:
            rest = text[place:].strip(BLANK)
            if mark != b"]" or rest != (b"}" if closing else b""):
                break
            if b"" in found:
                raise _refused(f"element {found.index(b'')} of the array is empty; remove a comma")
            return found
    raise _refused("the array of events is not closed, or is followed by more text; no event was accepted")


def identify(value: bytes) -> Element:
    """Return the id that the event `value` contains, and whether an id is missing.

    Raises Problem if the value may contain several events, which would become one dead letter. A value that is too
    large for Kafka is not parsed, because it is refused anyway.
    """
    if len(value) > MAX_LINE_BYTES:
        return Element(None, missing=False)
    try:
        event_id = _identity(value).event_id
    except UNREADABLE:
        _refuse_several(value)
        return _last_identity(value)
    if event_id is None:
        _refuse_several(value)
    # An empty id counts as present, and is not valid.
    return Element(event_id or None, missing=event_id is None)


def _refuse_several(value: bytes) -> None:
    if several := several_in(value):
        raise _refused(
            f'one event is expected, and {several} was found; send an array, `{{"events": [...]}}` or one event a line; no event was accepted'
        )


def _last_identity(value: bytes) -> Element:
    """Return the id of an event with an invalid value in it. The stream reads the last one of several ids."""
    try:
        given = bytes(_document(value).event_id)
    except UNREADABLE:
        return Element(None, missing=b'"event_id"' not in value)
    if given in (b"", b"null"):
        return Element(None, missing=True)
    try:
        return Element(_event_id(given) or None, missing=False)
    except UNREADABLE:
        return Element(None, missing=False)
