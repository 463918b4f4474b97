"""Raw events by a seed: ordinary ones, unusual ones and hostile ones, with the gateway's headers or without."""

import json
from random import Random
from typing import Any, Final

from schemas.kafka import headers as names
from schemas.pipeline.registry import Script
from schemas.pipeline.sender import Sender
from support.events.making import NOW_MS, RAW, REGISTRY, document
from support.events.sealed import gateway_headers
from support.memory.source import MemoryRecord

LARGEST = 2**63 - 1
SCRIPTS: Final[dict[str, Script]] = {
    **REGISTRY,
    "shared": Script("shared", 1, 10, enabled=True, shared_ids=True),
    "paused": Script("paused", 1, 10, enabled=True, paused=True),
    "käse": Script("käse", LARGEST, None, enabled=True),
}
MARKS = [*'aé€😀"\\/\n\t\x7f %+&=#?.', "\x00", "\ud800", "\u2028", "ß", "ＡＢ", "日本語"]
IDS = [
    "e-1", "0199c5a4-1c3a-7abc-8def-0123456789ab", "0199C5A4-1C3A-7ABC-8DEF-0123456789AB", "é" * 128, "x" * 128, "x" * 129, "é" * 129,
    "0199c5a4-1c3a-7abc-8def-0123456789aé", "0199c5a4 1c3a-7abc-8def-0123456789ab", "019 c5a4-1c3a-7abc-8def-0123456789ab", "é199c5a4-1c3a7abc-8def-0123456789ab",
    "0199c5a4é1c3a-7abc-8def-0123456789ab", "0199c5a4-1c3aé7abc-8def-0123456789ab", "0199c5a4😀1c3a-7abc-8def-0123456789ab",
    "0199c5a4-1c3a-4abc-8def-0123456789ab", "", None, 1,
]  # fmt: skip
INSTANTS = [
    "2025-10-09T08:53:20Z", "2025-10-09T08:53:20.123Z", "2025-10-09T08:53:20.1Z", "2025-10-09T10:53:20.123456+02:00", "2025-10-09t08:53:20z",
    "2025-10-09T08:53:20.1234567Z", "2025-10-09 08:53:20Z", "2025-10-09T08:53:60Z", "2025-10-09T03:23:20-05:30", "2025-10-09", "2025-02-29T00:00:00Z",
    "2024-02-29T00:00:00Z", "2025-10-09T08:53:20-00:00", "2025-10-09T08:53:20+00:00", "2025-10-09T24:00:00Z", "2025-10-09T08:53:20.Z", "", None, 0, -1, 2.5,
    True, "2025-10-10T01:53:20+23:59", "2025-10-09T08:53:20+15:00", "2025-10-09T23:53:20+15:59", "1969-12-31T23:59:59Z", "9999-12-31T23:59:59Z", "2025-10-09T08:53:20+0000",
    "2025-10-09T08:53:20", "0000-00-00T00:00:00Z", "2025-10-09T08:53:2\u0660Z", LARGEST, 2**64, 253_402_300_799_999, 2**32 * 1000, "2025-10-09T08:53:20.000000Z",
]  # fmt: skip
HOSTS = [
    "shop.example.com", "shop.example.com", "a", "A.example", "xn--bcher-kva.example", "bücher.example", "127.0.0.1", "1.2", "a.1", "a.0x7f", "0x7f", "a..b", "a.", ".a", "a-.b", "-a",
    "x" * 64, "x" * 63 + ".com", "a_b", "user@a.b", "a.b:8080", "a.b:443", "a.b:80", "[::1]", "a%2eb", "", "xn--.b", "axn--b", "a.b c", ".".join(["abcdefgh"] * 30), "a.b\\c", "1a.b", "a.b1", "a.1b", "ab--c.d",
]  # fmt: skip
PIECES = [
    "/", "a", "..", ".", "%2e", "%2E.", "%", "%zz", "%C3%A4", "ä", " ", "?", "&", "=", "#", "utm_source=", "utm_medium=b", "utm_campaign=x%20y+z", "utm_term=%ff", "%00",
    "utm_content=%00", "&utm_source=ä", "&utm_source=b", "'", '"', "<", ">", "\\", "^", "|", "{", "}", "`", "~", "\t", "\n", ";", "utm_source=%%41", "utm_term=a%2bb%26", "😀", "\x7f", "utm_", "xutm_source=1",
    "&", "%c3%a4", "?q=1", "/p/1", "index.html", "/.", "/..a", "a.", "utm_campaign=%e2%82%ac", "utm_source=%5c", "utm_content=%e2%82", "@", ":", "//", "!$()*,", "[", "]",
]  # fmt: skip
SCHEMES = ["https://"] * 6 + [
    "http://",
    "HTTPS://",
    "https:/",
    "https:",
    "ftp://",
    "ws://",
    "file://",
    "//",
    "",
    " https://",
    "android-app://",
    "https:\\\\",
    "about:",
]
TYPES = [
    "click",
    "pageview",
    "addToCart",
    "Add To Cart",
    "HTMLLoaded",
    "öffnen",
    "ORDER",
    " ",
    "a" * 64,
    "a" * 65,
    "é" * 64,
    "",
    "İ",
    "a-b",
    "ſ",
    "page_view",
    'a"b',
    "a\\b",
    "\u001c",
]
AMOUNTS = [
    0, -0.0, 1, -1, 12.5, "12.50", "+3", "007.5", "-0", "-0.0", "", "1e3", 1e3, 1e-7, 0.1234567, "0.0000001", ".5", "5.", 999999999999999, -999999999999999.5, 10**15, 9999.9999, 10000, 0.0001, 100000000,
    "12,5", True, None, [], {}, "٣", 0.000001, "1_0", " 1", 99990000, "-12.345678", "--1", "+-1", "0x1", "NaN", 123456.789,
]  # fmt: skip
CURRENCIES = ["eur", "EUR", "Usd", "xxx", "", None, "ſek", "eu", "kr", 1, "EURO", "ıdr"]
KEYS = ["a", "b", "größe", "_extra", "a b", 'q"', "back\\", "\x7f", "", "\n", "url", "page", "amount", "value", "😀"]
NAMED: Final = (
    "event_id", "site_id", "script_id", "event_type", "occurred_at", "sent_at", "session_id", "visitor_id", "url", "referrer", "user_agent", "value", "currency", "properties",
    "schema_version", "amount", "page",
)  # fmt: skip
SPLICES = [
    b"\\u0041", b"\\ud83d\\ude00", b"\\ud800", b"\\u0000", b"\\\\u0000", b"\\", b" ", b"\xff", b"\xc3", b"1e5", b'"', b"\xef\xbb\xbf", b"0", b",", b'"a":1,', b"\\/", b"\x00", b"\x01", b"\x7f", b"-", b".5",
    b"NaN", b"Infinity", b"null", b"{}", b"[]", b"}", b"]", b"\r\n", b'"site_id":1,', b'"properties":{},', b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"e", b"//", b"\xc2\xa0", b"[" * 30, b"\x0c", b"\\u00e9", b"\\n",
]  # fmt: skip


def records(random: Random, count: int) -> list[MemoryRecord]:
    """Make records of the raw topic with consecutive offsets. Most of the events are copies of each other."""
    first = random.choice([0, 7, 2**40])
    return [record_of(random, first + at, body_of(random)) for at in range(count)]


def record_of(random: Random, offset: int, value: bytes) -> MemoryRecord:
    """Make a record of this value."""
    headers = _headers(random, value) if random.random() < 0.5 else []
    return MemoryRecord(RAW, 0, offset, value, b"k", _time(random), int(random.random() < 0.3), tuple(headers))


def _time(random: Random) -> int:
    if random.random() < 0.05:
        return random.choice([NOW_MS - 8 * 86_400_000, NOW_MS + 400_000, -1, 0, LARGEST, 2**43, -LARGEST])
    return NOW_MS - random.randrange(100_000)


def _headers(random: Random, value: bytes) -> list[tuple[str, bytes | None]]:
    given = {
        "site_id": random.choice([1, 1, 1, 1, 1, 2, LARGEST]), "script_id": random.choice(["shop"] * 5 + ["blog", "shared", "käse"]),
        "sender": random.choice([Sender.VISITOR, Sender.SERVER]), "origin": random.choice([None, "https://shop.example.com"]),
        "event_id": random.choice([None, None, None, "e-1", "x" * 128, "0199c5a4-1c3a-7abc-8def-0123456789ab"]),
        "received_at_ms": random.choice([None, NOW_MS, NOW_MS - random.randrange(500_000), 5]),
    }  # fmt: skip
    signed = value if random.random() < 0.97 else value + b" "
    headers = [
        *gateway_headers(signed, **given),
        ("x-request-id", b"r"),
        ("x-trace-id", b"t"),
        (names.TRACEPARENT, b"00"),
    ]
    if random.random() < 0.08:
        name = random.choice(
            [
                names.PROOF,
                names.SITE_ID,
                names.SENDER,
                names.EVENT_ID,
                names.RECEIVED_AT,
                names.REPLAY_ID,
                names.REPLAY_OF,
                names.SCRIPT_ID,
                "other",
                names.ORIGIN,
            ]
        )
        text = random.choice(
            [
                None,
                b"",
                b"\xff",
                b"visitor",
                b"direct",
                b"1",
                b"01",
                b"a\x00",
                b"1:00000000:abc",
                b"1",
                b"2:",
                b"9" * 30,
                str(NOW_MS).encode(),
                b"+1",
            ]
        )
        headers.insert(random.randrange(len(headers) + 1), (name, text))
    if random.random() < 0.04:
        del headers[random.randrange(len(headers))]
    return headers


def body_of(random: Random) -> bytes:
    """Make the JSON of an event, or of what is almost one."""
    text = json.dumps(_document(random), **random.choice(STYLES))
    value = text.encode("utf-8", "surrogatepass")
    while random.random() < 0.15:
        at = random.randrange(len(value) + 1)
        value = value[:at] + random.choice(SPLICES) + value[at + random.choice([0, 0, 0, 1, 2, 9]) :]
    return value


STYLES: Final[list[dict[str, Any]]] = [{}, {"indent": 1}, {"separators": (",", ":")}, {"ensure_ascii": False}]


def _document(random: Random) -> dict[str, Any]:
    version = 1 if random.random() < 0.7 else 2
    changed = {
        name: _field(random, name)
        for name in random.sample(NAMED, random.choice([0, 1, 2, 3, 4, 6, 9]))
        if _fits(random, name, version)
    }
    fields = document(**changed)
    if version == 2 and "schema_version" not in fields:
        fields["schema_version"] = 2
    if random.random() < 0.3:
        fields |= {_key(random): _value(random, 3) for _ in range(random.choice([1, 1, 2, 5]))}
    if random.random() < 0.1:
        del fields[random.choice(list(fields))]
    order = list(fields)
    random.shuffle(order)
    return {name: fields[name] for name in order}


def _fits(random: Random, name: str, version: int) -> bool:
    other = {1: ("amount", "page"), 2: ("value", "url", "referrer")}[version]
    return name not in other or random.random() < 0.1


def _field(random: Random, name: str) -> Any:
    match name:
        case "event_id":
            return random.choice(IDS)
        case "site_id":
            return random.choice([1] * 8 + [2, 3, 0, -1, None, None, "1", 1.0, LARGEST, LARGEST + 1, True])
        case "script_id":
            return random.choice(["shop"] * 8 + [*SCRIPTS, None, None, "", "none", "x" * 129])
        case "event_type":
            return random.choice([*TYPES, _text(random)])
        case "occurred_at" | "sent_at":
            if random.random() < 0.6:
                return (
                    NOW_MS
                    - random.choice([1, 10_000, 10_001, 60_000, 86_400_000, 86_400_001, 10**9, -(10**6), -(10**7)])
                    + random.randrange(-100_000, 100_000)
                )
            return random.choice(INSTANTS)
        case "session_id" | "visitor_id" | "user_agent":
            return random.choice([None, "", 1, *[_text(random) for _ in range(5)]])
        case "url" | "referrer":
            return random.choice([None, "", 1, _text(random), *[_url(random) for _ in range(9)]])
        case "value" | "amount":
            return random.choice(
                [
                    *AMOUNTS,
                    random.randrange(10**17) / 10 ** random.randrange(8),
                    f"{random.randrange(10**12)}.{random.randrange(10**6):06d}",
                    random.randrange(10**6),
                ]
            )
        case "currency":
            return random.choice(CURRENCIES)
        case "properties":
            return random.choice([None, [], {}, *[_object(random, 3) for _ in range(8)], "x", [1]])
        case "schema_version":
            return random.choice([1] * 5 + [2] * 5 + [3, 0, "1", None, 1.0])
    page = {"url": _url(random), "referrer": _url(random), "title": _text(random), "": 1, "nested": _object(random, 2)}
    return random.choice(
        [
            None,
            [],
            {},
            "x",
            1,
            *[{name: page[name] for name in random.sample(list(page), random.randrange(5))} for _ in range(8)],
        ]
    )


def _url(random: Random) -> str:
    if random.random() < 0.4:
        return "https://shop.example.com/" + "".join(random.choices(PIECES, k=random.randrange(9)))
    return random.choice(SCHEMES) + random.choice(HOSTS) + "".join(random.choices(PIECES, k=random.randrange(6)))


def _text(random: Random) -> str:
    marks = MARKS if random.random() < 0.1 else ["a", "b", " ", "é", "😀", '"', "\\", "\n", "日"]
    return "".join(random.choices(marks, k=random.randrange(8)))


def _key(random: Random) -> str:
    return random.choice([*KEYS, "tag", "tag", _text(random)])


def _object(random: Random, depth: int) -> dict[str, Any]:
    return {_key(random): _value(random, depth - 1) for _ in range(random.choice([0, 1, 2, 3]))}


def _value(random: Random, depth: int) -> Any:
    kind = random.randrange(9 if depth > 0 else 7)
    plain = [
        None,
        True,
        _text(random),
        random.randrange(-(10**9), 10**9),
        random.random() * 1000,
        2 ** random.randrange(90),
        random.choice([1e300, 1e-300, 5e22, 1e15, 0.1]),
    ]
    if kind < 7:
        return plain[kind]
    return _object(random, depth) if kind == 7 else [_value(random, depth - 1) for _ in range(random.randrange(4))]
