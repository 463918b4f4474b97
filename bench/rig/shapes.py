"""Events of nearly 64 KiB, each of a shape that costs a reader more than its length: any sender can choose them."""

from collections.abc import Callable, Iterator

from schemas.events.raw_event import MAX_BYTES

NOW_MS = 1_760_000_000_000
_LONG_NAME = b"k" * 30_000
_VERSION_2 = b'"schema_version":2,'
_HIDDEN_NUL = b'{"x":"\\u0000","x":1}'
_HIDDEN_SURROGATE = b'{"x":"\\ud800","x":1}'

Unit = bytes | Callable[[int], bytes]


def event(fields: bytes = b"", *, event_id: str = "e-1", event_type: bytes = b"click") -> bytes:
    """Return a valid event of the script `shop` with these additional fields."""
    head = b'{"event_id":"%s","site_id":1,"script_id":"shop","event_type":"%s","occurred_at":%d' % (
        event_id.encode(), event_type, NOW_MS,
    )  # fmt: skip
    return head + (b"," + fields if fields else b"") + b"}"


def filled(before: bytes, unit: Unit, after: bytes, *, most: int = MAX_BYTES, **given: bytes) -> bytes:
    """Return an event that repeats the unit, or the numbered units, between the two as often as it fits in so many bytes."""
    room = most - len(event(before + after, **given)) - 32
    parts: list[bytes] = []
    while room > 0:
        part = unit if isinstance(unit, bytes) else unit(len(parts))
        room -= len(part)
        parts.append(part)
    return event(before + b"".join(parts[:-1]) + after, **given)


def listed(item: Unit, last: bytes = b"1", name: bytes = b"a", **given: bytes) -> bytes:
    """Return an event whose properties are one list of the item, with another item at its end."""
    unit = item + b"," if isinstance(item, bytes) else (lambda number: item(number) + b",")
    return filled(b'"properties":{"' + name + b'":[', unit, last + b"]}", **given)


def text(unit: bytes, field: bytes = b"url", before: bytes = b"", after: bytes = b"", **given: bytes) -> bytes:
    """Return an event with a long text in a field."""
    return filled(b'"' + field + b'":"' + before, unit, after + b'"', **given)


def _names(value: bytes) -> Callable[[int], bytes]:
    return lambda number: b'"%x":%s,' % (number, value)


def _ideograph(number: int) -> bytes:
    return chr(0x4E00 + number % 20_000).encode()


def sound() -> Iterator[tuple[str, bytes]]:
    """Yield shapes that the contract accepts."""
    items = {
        "integers": b"1", "decimals": b"1.5", "texts": b'""', "nulls": b"null", "lists": b"[]", "objects": b"{}",
        "small exponents": b"1e9", "tiny exponents": b"1e-9", "zeros": b"0e1", "zero exponents": b"0e000", "tiny numbers": b"1.23e-17",
        "long integers": b"9" * 308, "long decimals": b"0." + b"1" * 300, "199 digits": b"9" * 199,
        "texts like numbers": b'"1e999"', "texts like long numbers": b'"' + b"9" * 310 + b'"', "brackets in texts": b'"[["',
        "nested lists": b"[" * 29 + b"]" * 29, "half nested lists": b"[" * 15 + b"]" * 15,
        "nested objects": b'{"":' * 29 + b"1" + b"}" * 29, "pairs of surrogates": b'"\\ud83d\\ude00"',
        "letters": '"é"'.encode(),
    }  # fmt: skip
    for name, item in items.items():
        yield name, listed(item)
        yield f"{name} below a long name", listed(item, name=_LONG_NAME)
        yield f"{name} in an unknown field", filled(b'"other":[', item + b",", b"1]")
        yield f"{name} in version 2", filled(_VERSION_2 + b'"properties":{"a":[', item + b",", b"1]}")
        yield f"{name} with an odd amount", filled(b'"value":1e2,"properties":{"a":[', item + b",", b"1]}")
        yield f"{name} with a replaced NUL", listed(item, _HIDDEN_NUL)
        yield f"{name} with a replaced surrogate", listed(item, _HIDDEN_SURROGATE)
        yield f"{name} as fields of an object", filled(b'"properties":{', _names(item), b'"z":1}')
    yield "an amount of a few decimals", event(b'"value":1.' + b"9" * 16_000)
    yield "large numbers among small", listed(b"1.5", b"1e300")
    yield "a replaced NUL among names", filled(b'"properties":{', _names(b"1"), b'"x":"\\u0000","x":1}')
    yield "one name again and again", filled(b'"properties":{', b'"a":1,', b'"z":1}')
    yield (
        "names of a deep object",
        filled(b'"properties":{"a":' + b'{"a":' * 28 + b"{", _names(b"1"), b'"z":1' + b"}" * 30),
    )
    yield "long names", filled(b'"properties":{', lambda number: b'"%s%x":1,' % (b"k" * 100, number), b'"z":1}')
    yield "white space", listed(b"1 ")
    yield "unknown fields", filled(b"", _names(b"1"), b'"z":1')
    yield "unknown decimals", filled(b"", _names(b"1.5"), b'"z":1')
    yield "unknown fields and properties", filled(b'"o":1,"properties":{', _names(b"1"), b'"z":1}')
    yield "unknown fields in version 2", filled(_VERSION_2, _names(b"1"), b'"z":1')
    yield "a page of version 2", filled(_VERSION_2 + b'"page":{"url":"http://x/",', _names(b"1"), b'"z":1}')
    yield "one field again and again", filled(b"", b'"event_id":"e-1",', b'"z":1')
    yield "wrong fields, replaced", filled(b"", b'"event_id":1,', b'"event_id":"e"')
    for name, unit in {
        "plain": b"x", "quotes": b'\\"', "backslashes": b"\\\\", "escaped letters": b"\\u0041", "controls": b"\\u0001",
        "no NUL": b"\\\\u0000", "surrogates": b"\\ud83d\\ude00", "emoji": "😀".encode(),
    }.items():  # fmt: skip
        yield f"one text of {name}", filled(b'"properties":{"a":"', unit, b'"}')
        yield f"a session of {name}", text(unit, b"session_id")
    yield from _addresses()


def _addresses() -> Iterator[tuple[str, bytes]]:
    site = b"http://x.test/"
    for name, unit in {
        "steps": b"a/", "steps back": b"../", "steps to and fro": b"a/../", "steps in place": b"./", "odd marks": b"<",
        "escaped steps": b"%2e%2e/", "backslashes": b"\\\\", "emoji": "😀".encode(), "half escapes": b"%",
    }.items():  # fmt: skip
        yield f"a path of {name}", text(unit, before=site)
    for name, unit in {
        "fields": b"a=1&", "separators": b"&", "campaigns": b"utm_term=1&", "empty campaigns": b"utm_term=&",
        "escaped campaigns": b"utm_term=%&", "other campaigns": b"utm_x=1&",
    }.items():  # fmt: skip
        yield f"a query of {name}", text(unit, before=site + b"?utm_source=&", after=b"utm_medium=x")
    for name, unit in {
        "escapes": b"%41", "escapes and letters": b"%41a", "odd marks": b"<", "half escapes": b"%", "spaces": b"+",
        "emoji": "😀".encode(), "names": b"utm_",
    }.items():  # fmt: skip
        yield f"a campaign of {name}", text(unit, before=site + b"?utm_source=")
    for name, unit in {"spaces": b" ", "tabs": b"\\t", "letters of a scheme": b"a"}.items():
        yield f"an address behind {name}", text(unit, after=b":x" if unit == b"a" else site)
    yield from ((f"an origin of {name}", value) for name, value in _hosts(b"referrer"))
    yield from ((f"a host of {name}", value) for name, value in _hosts(b"url"))
    yield "a referrer of colons", text(b":", b"referrer")


def _hosts(field: bytes) -> Iterator[tuple[str, bytes]]:
    units: dict[str, Unit] = {
        "letters": b"a", "labels": b"a.", "ideographs": _ideograph, "labels of ideographs": "語.".encode(),
        "escapes": b"%c3%a9", "ligatures": "\ufdfa".encode(), "joined marks": "a\u0301\u0327".encode(), "users": b"@",
        "numbers": b"0x1.", "soft hyphens": "\u00ad".encode(),
    }  # fmt: skip
    for name, unit in units.items():
        yield name, filled(b'"' + field + b'":"http://', unit, b'/"')
        # The maximum length of a host.
        short = b"".join(unit if isinstance(unit, bytes) else unit(number) for number in range(1024 // len(_one(unit))))
        yield f"few {name}", event(b'"' + field + b'":"http://' + short + b'/"')
    yield "encoded labels", filled(b'"' + field + b'":"http://xn--', b"a9", b'/"')


def _one(unit: Unit) -> str:
    return (unit if isinstance(unit, bytes) else unit(0)).decode()


def unsound() -> Iterator[tuple[str, bytes]]:
    """Yield shapes that the contract refuses, some because of their end."""
    for name, item in {"integers": b"1", "decimals": b"1.5", "texts": b'""', "lists": b"[" * 15 + b"]" * 15}.items():
        for what, last in {
            "a NUL": b'"\\u0000"', "a lone surrogate": b'"\\ud800"', "a large number": b"1e999", "NaN": b"NaN",
            "a long integer": b"9" * 309, "nesting": b"[" * 40 + b"]" * 40, "no UTF-8": b'"\xff"', "a control": b'"\x01"',
        }.items():  # fmt: skip
            yield f"{name}, then {what}", listed(item, last)
        yield f"{name} below a long name, then a NUL", listed(item, b'"\\u0000"', name=_LONG_NAME)
        yield f"{name} of no type", listed(item, event_type=b"")
        yield f"{name} that end early", listed(item)[:-2]
        yield f"{name} as properties", filled(b'"properties":[', item + b",", b"1]")
        yield f"{name} as a page", filled(_VERSION_2 + b'"page":{"url":[', item + b",", b"1]}")
    yield "fields of no type", filled(b'"properties":{', _names(b"1"), b'"z":1}', event_type=b"")
    wrong = b",".join(
        b'"%s":["%s"]' % (name, b"x" * 4000)
        for name in (b"session_id", b"visitor_id", b"url", b"referrer", b"user_agent")
    )
    yield "all fields wrong", filled(wrong + b',"value":"', b"9", b'","currency":7', event_type=b"")
    yield "a long currency", text("ß".encode(), b"currency")
    yield "unknown fields without a place", filled(b'"properties":1,', _names(b"1"), b'"z":1')
    yield "exponents", listed(b"1e99")
    yield "large exponents", listed(b"1e300")
    yield (
        "lists of version 99, then a NUL",
        filled(b'"schema_version":99,"o":[', b"[" * 10 + b"]" * 10 + b",", b'1],"z":"\\u0000"'),
    )
    yield "version 3", filled(b'"schema_version":3,"properties":{"a":[', b"1.5,", b"1]}")
    yield "one long number", filled(b'"properties":{"a":', b"9", b"}")
    yield "one long fraction", filled(b'"properties":{"a":0.', b"9", b"}")
    yield "one long exponent", filled(b'"value":1e', b"9", b"")
    yield "opening brackets", b"[" * MAX_BYTES
    yield "closing brackets", b"]" * MAX_BYTES
    yield "an endless text", b'{"a":"' + b'\\"' * 32_000 + b"[" * 40
    yield "empty texts, then a NUL", b'{"o":"' + b'"' * 65_400 + b'\\u0000"}'
    yield "NULs", bytes(MAX_BYTES)
    yield "blanks", b" " * MAX_BYTES
    yield "an array", b"[" + b"1," * 32_000 + b"1]"


def told_apart(value: bytes, number: int, now_ms: int) -> bytes:
    """Return the same event with an id and a time of its own."""
    value = value.replace(b'"event_id":"e-1"', b'"event_id":"%d"' % number, 1)
    return value.replace(b'"occurred_at":%d' % NOW_MS, b'"occurred_at":%d' % now_ms, 1)
