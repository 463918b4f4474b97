"""Bodies taken apart: byte for byte, whatever is in the events, and refused only when no event can be told from another."""

import json
import time
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.gateway.elements import Element, identify, split
from bridge.http.problems import Code, Problem

MIB = 1024 * 1024
MOST = 500

values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=4), children, max_size=3),
    max_leaves=8,
)
spaces = st.text(" \t\r\n", max_size=2).map(str.encode)


@given(st.lists(st.tuples(spaces, values, spaces), min_size=1, max_size=6), st.booleans(), st.booleans())
def test_an_array_gives_its_own_bytes_back(parts: list[tuple[bytes, object, bytes]], broken: bool, named: bool) -> None:
    """By the parser, and by brackets when one element is no JSON; nothing is encoded anew."""
    texts = [json.dumps(value).encode() for _, value, _ in parts]
    if broken:
        # Spelled as Python's json does; no JSON.
        texts.append(b'{"value": NaN}')
        parts = [*parts, (b"", None, b"")]
    joined = b",".join(before + text + after for (before, _, after), text in zip(parts, texts, strict=True))
    body = b"[" + joined + b"]"
    body = b' {"events" :' + body + b"} " if named else body

    found = split(body, lines=False, most=MOST)

    assert found.values == texts
    assert found.batch


def test_one_event_is_taken_as_it_stands() -> None:
    """Whatever it is, the stream says; `events` within an event is plain data."""
    for body in (
        b'{"event_id":"a"}\n',
        b'{"bad',
        b'"text"',
        b"\xff\xfe",
        b'{"event_type":"x","events":[1]}',
        b'{"events":5}',
    ):
        assert split(body, lines=False, most=MOST) == ([body], False)


def test_lines_are_taken_without_their_newline() -> None:
    """Blank ones are none; broken ones are events."""
    assert split(b'{"a":1}\n\n  \r\n{bad\r\n[1]', lines=True, most=MOST).values == [b'{"a":1}', b"{bad\r", b"[1]"]


@pytest.mark.parametrize(("body", "lines"), [(b'[{"a":1}]', False), (b'{"a":1}', False), (b'{"a":1}\n', True)])
def test_a_byte_order_mark_belongs_to_no_event(body: bytes, lines: bool) -> None:
    """Some editors and shells write one before everything."""
    assert split(b"\xef\xbb\xbf" + body, lines=lines, most=MOST).values == [b'{"a":1}']


def test_deep_nesting_is_cut_at_its_brackets() -> None:
    """It would take the parser's stack; the stream dead-letters it."""
    deep = b"[" * 5000 + b"]" * 5000

    assert split(b"[" + deep + b', {"event_id":"a"}]', lines=False, most=MOST).values == [deep, b'{"event_id":"a"}']
    assert split(b'{"a":' + deep + b"}", lines=False, most=MOST).batch is False


@pytest.mark.parametrize(
    "body",
    [
        b"[", b'[{"a":1}', b'[{"a":1]', b'[NaN]x', b'[NaN]]', b'{"events":[{"a":NaN}', b'{"events":[NaN]', b'["a', b'[NaN, "a]',
        b'{"events":[NaN]}x', b'{"events":[1],"events":[2]}',
        b"[NaN,[" + b"[[[[1]]]]," * 30_000 + b"1]]", b"[NaN," + b'["",' * 100_000,
    ],
)  # fmt: skip
def test_what_can_not_be_taken_apart_is_refused_whole(body: bytes) -> None:
    """Nothing of it is taken, so that nothing is taken twice when it comes again mended."""
    with pytest.raises(Problem) as caught:
        split(body, lines=False, most=MOST)
    assert caught.value.code is Code.INVALID_PAYLOAD_JSON


@pytest.mark.parametrize(
    ("body", "lines"), [(b"", False), (b" \n", False), (b"[]", False), (b'{"events":[]}', False), (b"\n\n", True)]
)
def test_a_body_without_events_is_refused(body: bytes, lines: bool) -> None:
    """It is most likely a mistake."""
    with pytest.raises(Problem) as caught:
        split(body, lines=lines, most=MOST)
    assert caught.value.code is Code.NO_EVENTS


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b'{"event_id":"a"}', Element("a", missing=False)),
        (b'{"event_id":"caf\\u00e9"}', Element("caf\u00e9", missing=False)),
        (b'{"event_type":"x"}', Element(None, missing=True)),
        (b'{"event_id":null}', Element(None, missing=True)),
        (b'{"properties":{"event_id":"a"}}', Element(None, missing=True)),
        (b"[1]", Element(None, missing=True)),
        (b"nonsense", Element(None, missing=True)),
        # There is one, and no good: giving it another would hide that.
        (b'{"event_id":""}', Element(None, missing=False)),
        (b'{"event_id":5}', Element(None, missing=False)),
        (b'{"event_id":"' + b"x" * 129 + b'"}', Element(None, missing=False)),
        (b'{"event_id":"\\ud800"}', Element(None, missing=False)),
        (b'{"event_id":"a"', Element(None, missing=False)),
        (b'{"event_id":"a","properties":' + b"[" * 2000 + b"]" * 2000 + b"}", Element(None, missing=False)),
    ],
)  # fmt: skip
def test_an_event_says_its_own_id(value: bytes, expected: Element) -> None:
    """Only one that has none at all is given one."""
    assert identify(value) == expected


def filled(before: bytes, unit: bytes, after: bytes = b"") -> bytes:
    """A body of 1 MiB."""
    return before + unit * ((MIB - len(before) - len(after)) // len(unit)) + after


TOO_MANY = {
    "numbers": (filled(b"[", b"1,", b"1]"), False),
    "named": (filled(b'{"events":[', b"1,", b"1]}"), False),
    "arrays": (filled(b"[", b"[],", b"1]"), False),
    "no JSON": (filled(b"[NaN,", b"1,", b"1]"), False),
    "no end": (filled(b"[", b"1,"), False),
    "lines": (filled(b"", b"1\n"), True),
    "lines after blank ones": (filled(b"\n" * 500_000, b"ab\n"), True),
}
DEAR = TOO_MANY | {
    "blank lines": (filled(b"", b"\n"), True),
    "a blank line": (filled(b"", b" "), True),
    "strings of an array that is no JSON": (filled(b'[NaN,["",', b'"",', b"1]]"), False),
    "nested twice": (filled(b"[NaN,[", b"[[]],", b"1]]"), False),
    "nested often": (filled(b"[NaN,[", b"[[[[]]]],", b"1]]"), False),
    "as many strings as are cut": (filled(b"[NaN,[", b'"abcdefghijklmn",', b"1]]"), False),
    "as many brackets as are cut": (filled(b"[NaN,[", b"[[abcdefghijklm]],", b"1]]"), False),
    "nested as often as is cut": (filled(b"[NaN,[", b"[[[[abcdefghijklmnopqrstuvwxyz012]]]],", b"1]]"), False),
    "deep": (filled(b"[NaN,", b"["), False),
    "deep strings": (filled(b"[NaN,", b'["",'), False),
    "escapes": (filled(b'[NaN,"', b'\\"', b'"]'), False),
    "an unended string": (filled(b'[NaN,"', b'\\"'), False),
    "named often": (filled(b'{"events":[', b'"events",', b'"events"]}'), False),
}


def attempt(body: bytes, lines: bool) -> str:
    try:
        return str(len(split(body, lines=lines, most=MOST).values))
    except Problem as problem:
        return problem.code


@pytest.mark.parametrize(("body", "lines"), TOO_MANY.values(), ids=TOO_MANY)
def test_elements_are_counted_before_they_are_made(body: bytes, lines: bool) -> None:
    """Half a million of one byte take 50 MB and hold up everybody, for what is then refused."""
    attempt(body, lines)
    tracemalloc.start()
    try:
        assert attempt(body, lines) == Code.TOO_MANY_EVENTS
        assert tracemalloc.get_traced_memory()[1] < 2 * MIB
    finally:
        tracemalloc.stop()


def thread_seconds(body: bytes, lines: bool) -> float:
    """The better of three, of this thread alone."""
    taken = []
    for _ in range(3):
        began = time.thread_time()
        attempt(body, lines)
        taken.append(time.thread_time() - began)
    return min(taken)


@pytest.mark.parametrize(("body", "lines"), DEAR.values(), ids=DEAR)
def test_no_body_costs_much_more_than_a_plain_one_of_its_size(body: bytes, lines: bool) -> None:
    """A few times what the dearest sound one of as many bytes does; unbounded it is hundreds of times as much."""
    plain = filled(b"[", b"[1],", b"1]")
    assert attempt(plain, lines=False) == Code.TOO_MANY_EVENTS
    assert thread_seconds(body, lines) < 40 * thread_seconds(plain, lines=False)


def reference(body: bytes) -> list[bytes] | Code:
    """The elements of an array, byte by byte."""
    depth, begin, inside, escaped, found = 0, 0, False, False, []
    for place, byte in enumerate(body):
        mark = bytes([byte])
        if inside:
            inside, escaped = escaped or mark != b'"', not escaped and mark == b"\\"
            continue
        inside = mark == b'"'
        if mark in (b"[", b"{"):
            depth += 1
            begin = begin or place + 1
        elif mark in (b"]", b"}"):
            depth -= 1
        if depth == 0 or (depth == 1 and mark == b","):
            found.append(body[begin:place].strip(b" \t\r\n"))
            begin = place + 1
        if len(found) > 3:
            return Code.TOO_MANY_EVENTS
        if depth == 0:
            if mark != b"]" or body[place + 1 :].strip(b" \t\r\n"):
                return Code.INVALID_PAYLOAD_JSON
            return Code.NO_EVENTS if found == [b""] else found
    return Code.INVALID_PAYLOAD_JSON


pieces = st.sampled_from(
    [
        b"[",
        b"]",
        b"{",
        b"}",
        b"[[",
        b"]]",
        b"[[[",
        b"]]]",
        b",",
        b'"',
        b"\\",
        b'""',
        b"1",
        b"NaN",
        b" ",
        b'"a":',
        b'"]"',
        b"\n",
    ]
)


@given(st.lists(pieces, max_size=24))
def test_what_no_parser_takes_is_cut_as_byte_by_byte(parts: list[bytes]) -> None:
    """Whatever stands in it, and counted as it is cut."""
    body = b"[NaN," + b"".join(parts) + b"]"
    expected = reference(body)
    try:
        found: list[bytes] | Code = split(body, lines=False, most=3).values
    except Problem as problem:
        found = problem.code
    assert found == expected


@given(st.lists(values, min_size=1, max_size=9), st.integers(1, 9), st.sampled_from(["array", "named", "lines"]))
def test_the_count_is_that_of_the_elements(events: list[object], most: int, form: str) -> None:
    """More than `most` are refused, and as many are not."""
    texts = [json.dumps(event).encode() for event in events]
    bodies = {
        "array": b"[" + b",".join(texts) + b"]",
        "named": b'{"events":[' + b",".join(texts) + b"]}",
        "lines": b" \n" + b"\n\n".join(texts),
    }
    try:
        found: list[bytes] | Code = split(bodies[form], lines=form == "lines", most=most).values
    except Problem as problem:
        found = problem.code
    assert found == (texts if len(texts) <= most else Code.TOO_MANY_EVENTS)
