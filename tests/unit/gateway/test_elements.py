"""Bodies taken apart: byte for byte, whatever is in the events, and refused only when no event can be told from another."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.gateway.elements import Element, identify, split
from bridge.http.problems import Code, Problem

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

    found = split(body, lines=False)

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
        assert split(body, lines=False) == ([body], False)


def test_lines_are_taken_without_their_newline() -> None:
    """Blank ones are none; broken ones are events."""
    assert split(b'{"a":1}\n\n  \r\n{bad\r\n[1]', lines=True).values == [b'{"a":1}', b"{bad\r", b"[1]"]


@pytest.mark.parametrize(("body", "lines"), [(b'[{"a":1}]', False), (b'{"a":1}', False), (b'{"a":1}\n', True)])
def test_a_byte_order_mark_belongs_to_no_event(body: bytes, lines: bool) -> None:
    """Some editors and shells write one before everything."""
    assert split(b"\xef\xbb\xbf" + body, lines=lines).values == [b'{"a":1}']


def test_deep_nesting_is_cut_at_its_brackets() -> None:
    """It would take the parser's stack; the stream dead-letters it."""
    deep = b"[" * 5000 + b"]" * 5000

    assert split(b"[" + deep + b', {"event_id":"a"}]', lines=False).values == [deep, b'{"event_id":"a"}']
    assert split(b'{"a":' + deep + b"}", lines=False).batch is False


@pytest.mark.parametrize(
    "body",
    [
        b"[", b'[{"a":1}', b'[{"a":1]', b'[NaN]x', b'[NaN]]', b'{"events":[{"a":NaN}', b'{"events":[NaN]', b'["a', b'[NaN, "a]',
        b'{"events":[NaN]}x', b'{"events":[1],"events":[2]}', b"[" + b"[NaN]," * 70_000 + b"1]",
    ],
)  # fmt: skip
def test_what_can_not_be_taken_apart_is_refused_whole(body: bytes) -> None:
    """Nothing of it is taken, so that nothing is taken twice when it comes again mended."""
    with pytest.raises(Problem) as caught:
        split(body, lines=False)
    assert caught.value.code is Code.INVALID_PAYLOAD_JSON


@pytest.mark.parametrize(
    ("body", "lines"), [(b"", False), (b" \n", False), (b"[]", False), (b'{"events":[]}', False), (b"\n\n", True)]
)
def test_a_body_without_events_is_refused(body: bytes, lines: bool) -> None:
    """It is most likely a mistake."""
    with pytest.raises(Problem) as caught:
        split(body, lines=lines)
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
