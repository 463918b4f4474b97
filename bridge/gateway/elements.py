"""A body taken apart into its events, byte for byte: a sound one by a parser in C, an odd one by its brackets."""

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


class _Identity(msgspec.Struct, gc=False):
    event_id: Annotated[str, msgspec.Meta(max_length=MAX_EVENT_ID)] | None = None


_document = msgspec.json.Decoder(_Document).decode
_identity = msgspec.json.Decoder(_Identity).decode

_LINE = re.compile(rb"\S[^\n]*+")
# Up to the next comma of the array or bracket; what is nested once or twice is passed over at once.
_BETWEEN_EVENTS = re.compile(rb'(?:[^",\[\]{}]++|' + STRING + rb"|" + SHALLOW + rb")*+([,\[\]{}])?", re.DOTALL)
_WITHIN_EVENT = re.compile(rb"(?:" + TEXT + rb"|" + SHALLOW + rb")*+([\[\]{}])?", re.DOTALL)
_MOST_STEPS = 12_000
"""With MOST_MARKS it bounds how long an odd body holds up the others. A body of 1 MiB with a string for every 16 bytes is within them."""
_FEWEST_STEPS = 2_500
_BYTES_OF_A_STEP = 16
"""A small body has fewer: many of them come at once."""
_ESCAPED_NAME = re.compile(rb'\\u[0-9a-fA-F]{4}[^"\\]*+"[ \t\r\n]*+:').search
_NAMES_EVENTS = re.compile(rb'[ \t\r\n]*\{[ \t\r\n]*"events"[ \t\r\n]*:[ \t\r\n]*\[')
_EVENTS_NAME = b'"events"'
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
    `lines` is what the Content-Type says; a body that shows to be something else is taken as that.
    """
    # Before JSON it means nothing, and is no event's.
    body = body.removeprefix(BOM_UTF8)
    if form := form_of(body):
        raise _refused(f"the body is {form.name}: send JSON in UTF-8, plain or compressed once with gzip")
    found = _cut(body, lines, most)
    if not found.values:
        raise Problem(Code.NO_EVENTS)
    if not any(value.lstrip(BLANK).startswith(b"{") for value in found.values):
        raise _refused(f"no event is in the body, {beginning_of(body)}; an event is a JSON object")
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
    """Whether a body that its sender calls lines is one array or object, which may be written over several lines."""
    first = _first_line(body)
    if first.startswith(b"["):
        return is_json(body) or not is_json(first)
    return first.startswith(b"{") and (first == b"{" or is_json(body))


def _too_many(most: int) -> Problem:
    return Problem(Code.TOO_MANY_EVENTS, f"at most {most} events")


def _lines(body: bytes, most: int) -> list[bytes]:
    """Each line that is not blank, with its own blanks; files that were joined may have a byte order mark in any line."""
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
    """Decodes an array's elements, one more than `most` of them; what follows is read, but not made into objects."""
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
    """`{"events": [...]}`, or else one event: whatever else it is, the stream says."""
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
        raise _refused("the body names `events` twice")
    if b"\\" in body and _ESCAPED_NAME(body.replace(events, b"", 1)):
        # It may be `events` once more, whose events nobody would read.
        raise _refused("a name beside `events` is written with an escape: write it as it is")
    return Elements(_array_elements(events, most), batch=True)


def _by_brackets(text: bytes, most: int, *, closing: bool = False) -> list[bytes]:
    """The elements of an array that no parser takes, cut at its own commas: each is judged by the stream for itself.

    With `closing`, the object around the array ends after it.
    """
    if sum(map(text.count, MARKS)) > MOST_MARKS:
        raise _refused("it is no JSON, and has too many strings and brackets to be cut apart")
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
            # JavaScript's arrays may end with a comma, behind which there is no element.
            found.pop()
        if len(found) > most:
            raise _too_many(most)
        if depth == 0:
            rest = text[place:].strip(BLANK)
            if mark != b"]" or rest != (b"}" if closing else b""):
                break
            if b"" in found:
                raise _refused(f"element {found.index(b'')} of the array is empty: take a comma away")
            return found
    raise _refused("the array of events does not end as it should, or something follows it; nothing of it was taken")


def identify(value: bytes) -> Element:
    """The event's own id; raises Problem if there may be several events in it, which would be one dead letter.

    What does not fit into Kafka is refused, and nothing of it is looked at.
    """
    if len(value) > MAX_LINE_BYTES:
        return Element(None, missing=False)
    try:
        event_id = _identity(value).event_id
    except UNREADABLE:
        _refuse_several(value)
        return Element(None, missing=not _has_id(value))
    if event_id is None:
        _refuse_several(value)
    # An empty one is there, and no good.
    return Element(event_id or None, missing=event_id is None)


def _refuse_several(value: bytes) -> None:
    if several := several_in(value):
        raise _refused(
            f'where one event is expected stands {several}; send an array, `{{"events": [...]}}` or a line each; nothing of it was taken'
        )


def _has_id(value: bytes) -> bool:
    """Whether an odd event has an id of its own all the same, which is then not to be contradicted."""
    if b'"event_id"' not in value:
        return False
    try:
        given = bytes(_document(value).event_id)
    except UNREADABLE:
        return True
    return given not in (b"", b"null")
