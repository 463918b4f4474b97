"""Splitting bodies into events: byte-identical, and refused only if the events cannot be separated."""

import bz2
import gzip
import json
import lzma
import time
import tracemalloc
import zlib
from codecs import BOM_UTF8

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.gateway.elements import identify, split
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
    """The parser splits valid JSON and brackets split the rest; nothing is encoded again."""
    texts = [json.dumps(value).encode() for _, value, _ in parts] + [b'{"event_id": "a"}']
    parts = [*parts, (b"", None, b"")]
    if broken:
        # Python's json writes it so; it is not JSON.
        texts.append(b'{"value": NaN}')
        parts = [*parts, (b"", None, b"")]
    joined = b",".join(before + text + after for (before, _, after), text in zip(parts, texts, strict=True))
    body = b"[" + joined + b"]"
    body = b' {"events" :' + body + b"} " if named else body

    found = split(body, lines=False, most=MOST)

    assert found.values == texts
    assert found.batch


def test_one_event_is_taken_as_it_stands() -> None:
    """The stream judges it; `events` within an event is plain data."""
    for body in (
        b'{"event_id":"a"}\n',
        b'{"bad',
        b'{"a":NaN,"text":"}{","b":[{"c":1},{"d":2}]}',
        b'{"event_type":"x","events":[1]}',
        b'{"events":5}',
    ):
        assert split(body, lines=False, most=MOST) == ([body], False)


def test_lines_are_taken_without_their_newline() -> None:
    """Blank lines are skipped and broken lines are events."""
    assert split(b'{"a":1}\n\n  \r\n{bad\r\n[1]', lines=True, most=MOST).values == [b'{"a":1}', b"{bad\r", b"[1]"]


@pytest.mark.parametrize(("body", "lines"), [(b'[{"a":1}]', False), (b'{"a":1}', False), (b'{"a":1}\n', True)])
def test_a_byte_order_mark_belongs_to_no_event(body: bytes, lines: bool) -> None:
    """Some editors and shells write one at the start of a file."""
    assert split(b"\xef\xbb\xbf" + body, lines=lines, most=MOST).values == [b'{"a":1}']


def test_deep_nesting_is_cut_at_its_brackets() -> None:
    """The parser would run out of stack; the stream dead-letters the event."""
    deep = b"[" * 1200 + b"]" * 1200

    assert split(b"[" + deep + b', {"event_id":"a"}]', lines=False, most=MOST).values == [deep, b'{"event_id":"a"}']
    assert split(b'{"a":' + deep + b"}", lines=False, most=MOST).batch is False


def test_a_batch_of_nested_events_is_cut_at_its_brackets() -> None:
    """The maximum number of events, all unparsable, stays within the limit for a short body."""
    events = [b'{"event_type":"click","occurred_at":1,"properties":{"a":{"b":[{"c":[NaN]}]}}}'] * MOST
    assert split(b"[" + b",".join(events) + b"]", lines=False, most=MOST).values == events


@pytest.mark.parametrize(
    "body",
    [
        b"[", b'[{"a":1}', b'[{"a":1]', b'[NaN]x', b'[NaN]]', b'{"events":[{"a":NaN}', b'{"events":[NaN]', b'["a', b'[NaN, "a]',
        b'{"events":[NaN]}x', b'{"events":[1],"events":[2]}', b'{"events":[1],"\\u0065vents":[2]}',
        b'{"\\u0065vents":[1],"events":[2]}', b'{"events":[1],"even\\u0074s" :[2]}',
        b"[NaN,[" + b"[[[[1]]]]," * 30_000 + b"1]]", b'[{"a":NaN},[' + b"[[[[1]]]]," * 1_600 + b"1]]", b"[NaN," + b'["",' * 100_000,
    ],
)  # fmt: skip
def test_what_can_not_be_taken_apart_is_refused_whole(body: bytes) -> None:
    """No event is accepted, so a corrected request duplicates none."""
    with pytest.raises(Problem) as caught:
        split(body, lines=False, most=MOST)
    assert caught.value.code is Code.INVALID_PAYLOAD_JSON


A, B = b'{"event_id":"a"}', b'{"event_id":"b"}'
PRETTY = json.dumps([{"event_id": "a"}, {"event_id": "b"}], indent=2).encode()


@pytest.mark.parametrize(
    ("body", "lines", "values"),
    [
        (A + b"\n" + B + b"\n", False, [A, B]),
        (A + b"\r\n{bad\r\n" + B, False, [A + b"\r", b"{bad\r", B]),
        (BOM_UTF8 + A + b"\n" + BOM_UTF8 + B, True, [A, B]),
        (b"[" + A + b"," + B + b",]", False, [A, B]),
        (b'{"events":[' + A + b"," + B + b", ]}", False, [A, B]),
        (b"[" + A + b"," + B + b"]\n", True, [A, B]),
        (b"[\n" + A + b",\n" + B + b"\n]\n", True, [A, B]),
        (b'[{"a":NaN},\n' + B + b"\n]\n", True, [b'{"a":NaN}', B]),
        (b'{"events":[' + A + b"," + B + b"]}\n", True, [A, B]),
        (b'{\n "event_id": "a"\n}\n', True, [b'{\n "event_id": "a"\n}']),
        (b'{\n "value": NaN\n}\n', True, [b'{\n "value": NaN\n}']),
    ],
    ids=["lines", "odd-lines", "marks", "comma", "named-comma", "array-line", "array-over-lines", "odd-array", "named-line", "pretty", "odd-pretty"],
)  # fmt: skip
def test_a_body_is_taken_for_what_it_is(body: bytes, lines: bool, values: list[bytes]) -> None:
    """The Content-Type does not matter."""
    found = split(body, lines=lines, most=MOST).values

    assert found == values
    for value in found:
        identify(value)


FOREIGN = {
    "UTF-16": PRETTY.decode().encode("utf-16"),
    "UTF-16LE": A.decode().encode("utf-16-le"),
    "UTF-16BE": A.decode().encode("utf-16-be"),
    "UTF-32": A.decode().encode("utf-32"),
    "UTF-32LE": A.decode().encode("utf-32-le"),
    "UTF-32BE": A.decode().encode("utf-32-be"),
    "gzip": gzip.compress(A),
    "zlib": zlib.compress(A),
    "bzip2": bz2.compress(A),
    "xz": lzma.compress(A),
    "zstd": b"\x28\xb5\x2f\xfd\x24\x10",
    "begins with '\\x8b'": b"\x8b\x07\x80" + A,
    "is a form": b"data=%5B%7B%22event_id%22%3A%22a%22%7D%5D",
    "multipart": b'--x\r\nContent-Disposition: form-data; name="data"\r\n\r\n' + A + b"\r\n--x--",
    "JSON string that contains JSON": json.dumps(A.decode()).encode(),
    "begins with 'e'": b"event_id;event_type\n1;x\n",
    "begins with '1'": b"1",
    "array without objects": b'["a", [1]]',
    "array without objects ": b"[[" + A + b"," + B + b"]]",
    "element 1 of the array is empty": b"[" + A + b",," + B + b"]",
    "element 0 of the array is empty": b"[," + A + b"]",
}


@pytest.mark.parametrize("lines", [False, True], ids=["json", "lines"])
@pytest.mark.parametrize(("says", "body"), FOREIGN.items(), ids=range(len(FOREIGN)))
def test_what_is_no_json_is_refused_by_its_name(says: str, body: bytes, lines: bool) -> None:
    """If accepted, it would become one dead letter for many events that the sender has dropped."""
    with pytest.raises(Problem) as caught:
        split(body, lines=lines, most=MOST)
    assert caught.value.code is Code.INVALID_PAYLOAD_JSON
    assert says.strip() in caught.value.detail


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (A + B, "several JSON texts"),
        (A + b" \r\n " + B, "several JSON texts"),
        (A + b"," + B, "several JSON texts"),
        (b'{"a":NaN},' + B, "several JSON texts"),
        (b'{"a":[[[NaN]]],"b":"{\\"}{"}' + B, "several JSON texts"),
        (A + b"\x1e" + B, "several JSON texts"),
        (b"[" + A + b"," + B + b"]", "an array"),
        (b'{"events":[' + A + b"]}", "under `events`"),
        (b'{"sent_at":1,"batch": [ ' + A + b"]}", "under `batch`"),
        (b'{"data":[' + A + b"]}", "under `data`"),
        (b'{"sent_at":NaN,"events":[{"event_type":"x"},{"event_type":"y"}]}', "under `events`"),
        (b'{"a":NaN' + b',"b":1' * 100_000, "too many strings"),
    ],
    ids=range(12),
)
def test_several_events_in_one_are_refused(value: bytes, says: str) -> None:
    """No replay could restore them from one dead letter."""
    with pytest.raises(Problem) as caught:
        identify(value)
    assert caught.value.code is Code.INVALID_PAYLOAD_JSON
    assert says in caught.value.detail


@pytest.mark.parametrize(
    "value",
    [
        b'{"event_type":"x","properties":{"data":[{}],"events":[{}]}}',
        b'{"event_type":"x","data":[{"a":1}]}',
        b'{"event_type":"x","value":NaN,"data":[{"a":1}]}',
        b'{"event_type":"x","value":NaN,"text":"}{","items":[{"a":1},{"b":2}]}',
        b'{"event_id":"a"}}',
        b'{"event_id":"a"',
        b'{"a":"}\n{',
        b"[NaN]",
        b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}",
    ],
    ids=range(9),
)
def test_one_broken_event_is_the_streams_to_judge(value: bytes) -> None:
    """A single broken event becomes one dead letter that a correction can repair."""
    assert identify(value).event_id is None


@pytest.mark.parametrize(
    ("body", "lines"), [(b"", False), (b" \n", False), (b"[]", False), (b'{"events":[]}', False), (b"\n\n", True)]
)
def test_a_body_without_events_is_refused(body: bytes, lines: bool) -> None:
    """An empty body is most likely a mistake."""
    with pytest.raises(Problem) as caught:
        split(body, lines=lines, most=MOST)
    assert caught.value.code is Code.NO_EVENTS


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
    "braces of an event that is no JSON": (filled(b'{"a":NaN', b"}"), False),
    "objects of an event that is no JSON": (filled(b'{"a":NaN', b"{},}  "), False),
    "strings of an event that is no JSON": (filled(b'{"a":NaN,', b'"events":[', b"}"), False),
    "blanks of an event that is no JSON": (filled(b'{"a":NaN,', b"} " + b" " * 5000, b"}"), False),
    "lines of strings": (filled(b'{"a":NaN,' + b'"",' * 700, b'\n{"a":NaN,' + b'"",' * 700), True),
    "named often": (filled(b'{"events":[', b'"events",', b'"events"]}'), False),
}


def attempt(body: bytes, lines: bool) -> str:
    try:
        found = split(body, lines=lines, most=MOST).values
        for value in found:
            identify(value)
        return str(len(found))
    except Problem as problem:
        return problem.code


@pytest.mark.parametrize(("body", "lines"), TOO_MANY.values(), ids=TOO_MANY)
def test_elements_are_counted_before_they_are_made(body: bytes, lines: bool) -> None:
    """Half a million one-byte elements would take 50 MB and block the loop before the refusal."""
    attempt(body, lines)
    tracemalloc.start()
    try:
        assert attempt(body, lines) == Code.TOO_MANY_EVENTS
        assert tracemalloc.get_traced_memory()[1] < 2 * MIB
    finally:
        tracemalloc.stop()


def thread_seconds(body: bytes, lines: bool) -> float:
    """The best of three runs, in this thread's processor time."""
    taken = []
    for _ in range(3):
        began = time.thread_time()
        attempt(body, lines)
        taken.append(time.thread_time() - began)
    return min(taken)


@pytest.mark.parametrize(("body", "lines"), DEAR.values(), ids=DEAR)
def test_no_body_costs_much_more_than_a_plain_one_of_its_size(body: bytes, lines: bool) -> None:
    """The cost stays within a small multiple; without limits it is hundreds of times as much."""
    plain = filled(b"[", b"[1],", b"1]")
    assert attempt(plain, lines=False) == Code.TOO_MANY_EVENTS
    assert thread_seconds(body, lines) < 40 * thread_seconds(plain, lines=False)


def reference(body: bytes) -> list[bytes] | Code:
    """The elements of an array, found byte by byte; a comma may follow the last one."""
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
        if depth == 0 and found[-1] == b"":
            found.pop()
        if len(found) > 3:
            return Code.TOO_MANY_EVENTS
        if depth == 0:
            if mark != b"]" or body[place + 1 :].strip(b" \t\r\n"):
                return Code.INVALID_PAYLOAD_JSON
            return Code.INVALID_PAYLOAD_JSON if b"" in found else found
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
    """The bracket scan finds and counts the same elements as the reference, for any content."""
    body = b'[{"a":NaN},' + b"".join(parts) + b"]"
    expected = reference(body)
    try:
        found: list[bytes] | Code = split(body, lines=False, most=3).values
    except Problem as problem:
        found = problem.code
    assert found == expected


@given(st.lists(values, min_size=1, max_size=9), st.integers(1, 9), st.sampled_from(["array", "named", "lines"]))
def test_the_count_is_that_of_the_elements(events: list[object], most: int, form: str) -> None:
    """More than `most` are refused, and as many are not."""
    texts = [b"{}", *(json.dumps(event).encode() for event in events)]
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
