"""The compiled reader makes the same rows as the Python path, byte for byte, or leaves the record to it."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.events.making import NOW_MS, RAW, REGISTRY, context, document
from support.events.native import assert_equal, read
from support.events.sealed import gateway_headers
from support.memory.source import MemoryRecord

from schemas.kafka import headers as names
from schemas.pipeline.registry import Script
from schemas.pipeline.sender import Sender
from streams.pipeline import native

pytestmark = pytest.mark.skipif(not native.AVAILABLE, reason="the compiled module is not installed")

SCRIPTS = REGISTRY | {
    "shared": Script("shared", 1, 10, enabled=True, shared_ids=True),
    "paused": Script("paused", 1, 10, enabled=True, paused=True),
    "käse": Script("käse", 9_223_372_036_854_775_807, None, enabled=True),
}
CONTEXT = context(registry=SCRIPTS)

texts = st.text(max_size=20) | st.text("aé€😀\"\\/\n\t\x00\x7f %+&=#?.", max_size=20)
short = st.none() | st.just("") | texts
ids = st.sampled_from(["e-1", "0199c5a4-1c3a-7abc-8def-0123456789ab", "0199C5A4-1c3a-7abc-8def-0123456789é", "é" * 128, "x" * 129])
instants = st.sampled_from(
    ["2025-10-09T08:53:20Z", "2025-10-09T08:53:20.123Z", "2025-10-09T10:53:20.123456+02:00", "2025-10-09t08:53:20z",
     "2025-10-09T08:53:20.1234567Z", "2025-10-09 08:53:20Z", "2025-10-09T08:53:60Z", "2025-10-09T03:23:20-05:30", "2025-10-09",
     "2025-02-29T00:00:00Z", "2025-10-09T08:53:20-00:00", "2025-10-09T24:00:00Z", "2025-10-09T08:53:20.Z", "", None, 0, -1, 2.5, True,
     "2025-10-10T01:53:20+23:59", "2025-10-09T08:53:20+15:00", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59Z", "2025-10-09T08:53:20+0000"]
) | st.integers(NOW_MS - 10**9, NOW_MS + 10**8) | st.integers(0, 2**63)  # fmt: skip
hosts = st.sampled_from(
    ["shop.example.com", "a", "A.example", "xn--bcher-kva.example", "bücher.example", "127.0.0.1", "1.2", "0x7f", "a..b", "a.", "a-.b",
     "-a", "x" * 64, "x" * 63 + ".com", "a_b", "user@a.b", "a.b:8080", "a.b:443", "[::1]", "a%2eb", "", "xn--.b", "axn--b", "a.b c", ".".join(["abcdefgh"] * 30)]
)  # fmt: skip
pieces = st.sampled_from(
    ["/", "a", "..", ".", "%2e", "%2E.", "%", "%zz", "ä", " ", "?", "&", "=", "#", "utm_source=", "utm_medium=b", "utm_campaign=x%20y+z", "utm_term=%ff",
     "utm_content=%00", "&utm_source=ä", "'", '"', "<", "\\", "^", "|", "{", "`", "~", "\t", "\n", ";", "utm_source=%%41", "😀", "\x7f", "utm_", "xutm_source=1", "&", "%c3%a4"]
)  # fmt: skip
urls = st.builds(
    lambda scheme, host, rest: scheme + host + "".join(rest),
    st.sampled_from(["https://", "http://", "HTTPS://", "https:/", "ftp://", "ws://", "file://", "//", "", " https://", "android-app://", "https:\\\\"]),
    hosts,
    st.lists(pieces, max_size=8),
) | st.builds(lambda rest: "https://shop.example.com/" + "".join(rest), st.lists(pieces, max_size=8))  # fmt: skip
types = st.sampled_from(["click", "pageview", "addToCart", "Add To Cart", "HTMLLoaded", "öffnen", "ORDER", " ", "a" * 64, "a" * 65, "", "İ"])
amounts = st.sampled_from(
    [0, -0.0, 1, -1, 12.5, "12.50", "+3", "007.5", "-0", "", "1e3", 1e3, 1e-7, 0.1234567, "0.0000001", ".5", "5.", 999999999999999, 10**15,
     9999.9999, 10000, 0.0001, 100000000, "12,5", True, None, [], "٣", 123456789012345.5, 0.000001, "1_0", " 1"]
) | st.decimals(-(10**16), 10**16, allow_nan=False, places=6).map(str) | st.floats(allow_nan=False, allow_infinity=False)  # fmt: skip
values = st.recursive(
    st.none() | st.booleans() | texts | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(texts | st.sampled_from(["_extra", "a", "b"]), values, max_size=4) | st.sampled_from([None, [], {}, "x", [1]])
pages = st.fixed_dictionaries({}, optional={"url": urls | short, "referrer": urls, "title": values, "": values}) | objects
NAMED: dict[str, st.SearchStrategy[Any]] = {
    "event_id": ids | short, "site_id": st.sampled_from([1, 2, 3, 0, -1, None, "1", 1.0, 2**63 - 1, 2**63]), "script_id": st.sampled_from([*SCRIPTS, None, "", "none"]),
    "event_type": types | short, "occurred_at": instants, "sent_at": instants, "session_id": short, "visitor_id": short,
    "url": urls | short, "referrer": urls | short, "user_agent": short, "value": amounts, "currency": st.sampled_from(["eur", "EUR", "xxx", "", None, "ſek", "eu", "kr", 1]),
    "properties": objects, "schema_version": st.sampled_from([1, 2, 2, 2, 3, 0, "1", None, 1.0]), "amount": amounts, "page": pages,
}  # fmt: skip


@st.composite
def documents(draw: st.DrawFn) -> dict[str, Any]:
    """A valid document of which some fields are changed, in any order, with some unknown fields."""
    changed = draw(st.sets(st.sampled_from(sorted(NAMED)), max_size=4))
    fields = document(**{name: draw(NAMED[name]) for name in sorted(changed)})
    if draw(st.integers(0, 3)) == 0:
        fields["schema_version"] = 2
    if draw(st.integers(0, 3)) == 0:
        fields |= draw(st.dictionaries(texts | st.sampled_from(["tag", "größe", "_extra"]), values, max_size=2))
    return dict(draw(st.permutations(sorted(fields.items()))))


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A document's JSON in one of several spellings, sometimes with bytes changed at random."""
    fields = draw(documents())
    style = draw(st.sampled_from([{}, {"indent": 1}, {"separators": (",", ":")}, {"ensure_ascii": False}]))
    text = json.dumps(fields, **style)
    value = text.encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 2)) == 0:
        at = draw(st.integers(0, len(value)))
        piece = draw(st.binary(max_size=2) | st.sampled_from([b"\\u0041", b"\\ud83d\\ude00", b"\\ud800", b"\\", b" ", b"\xff", b"1e5", b'"', b"\xef\xbb\xbf", b"0", b",", b'"a":1,', b"\\/"]))
        value = value[:at] + piece + value[at + draw(st.integers(0, 2)) :]
    return value


@st.composite
def records(draw: st.DrawFn) -> MemoryRecord:
    value = draw(bodies())
    headers: list[tuple[str, bytes | None]] = []
    if draw(st.booleans()):
        headers = gateway_headers(
            value,
            site_id=draw(st.sampled_from([1, 1, 1, 2, 9_223_372_036_854_775_807])),
            script_id=draw(st.sampled_from(["shop", "shop", "blog", "shared", "käse"])),
            sender=draw(st.sampled_from([Sender.VISITOR, Sender.SERVER])),
            origin=draw(st.sampled_from([None, "https://shop.example.com"])),
            event_id=draw(st.none() | ids),
            received_at_ms=draw(st.none() | st.integers(NOW_MS - 400_000, NOW_MS + 400_000)),
        )
        headers += [("x-request-id", b"r"), (names.TRACEPARENT, b"00-1-1-01")]
    if draw(st.integers(0, 4)) == 0:
        name = st.sampled_from([names.PROOF, names.SITE_ID, names.SENDER, names.EVENT_ID, names.RECEIVED_AT, names.REPLAY_ID, names.REPLAY_OF, "other", names.ORIGIN])
        text = st.none() | st.binary(max_size=4) | st.sampled_from([b"visitor", b"1", b"01", b"a\x00", b"1:00000000:abc", str(NOW_MS).encode()])
        headers.insert(draw(st.integers(0, len(headers))), (draw(name), draw(text)))
    timestamp = draw(st.sampled_from([NOW_MS, NOW_MS, NOW_MS - 8 * 86_400_000, NOW_MS + 400_000, -1, 0, 2**63 - 1, 2**43]) | st.integers(NOW_MS - 10**8, NOW_MS))
    return MemoryRecord(RAW, 0, draw(st.integers(0, 2**40)), value, b"k", timestamp, draw(st.integers(0, 1)), tuple(headers))


@settings(max_examples=1500)
@given(st.lists(records(), min_size=1, max_size=4))
def test_rows_are_those_of_python(made: list[MemoryRecord]) -> None:
    assert_equal(made, read(made, CONTEXT), CONTEXT)
