"""Events of up to 4 KiB, each of which counts as one: per field what may cost a reader more than its length."""

import random
import unicodedata
from collections.abc import Callable, Iterator, Sequence

from bench.rig.shapes import Unit, event, filled

MOST_BYTES = 4096
MOST_MARKS = 350
"""An event of more marks counts as more; `streams.rules.event_weight` has both numbers."""
_MOST_HOST = 1024
_SEED = 13
_VERSION_2 = b'"schema_version":2,'


def small() -> Iterator[tuple[str, bytes]]:
    """All of them, sound and refused, the same ones each time."""
    for made in (_hosts, _numbers, _texts, _queries, _fields, _nested):
        for name, value in made():
            yield f"{made.__name__[1:]}: {name}", value


def full(before: bytes, unit: Unit, after: bytes) -> bytes:
    """An event that repeats the unit as often as 4 KiB and the marks of one event have room."""
    return filled(before, unit, after, most=MOST_BYTES)


def _alphabets() -> dict[str, list[str]]:
    """Characters that differ, by what a reader of host names does with them."""
    every = [chr(code) for code in range(0x80, 0x1F000) if not 0xD800 <= code < 0xE000]
    return {
        "ideographs": [chr(0x4E00 + 20 * number) for number in range(1000)],
        "neighbours": [chr(0x4E00 + number) for number in range(1000)],
        "syllables": [chr(0xAC00 + 11 * number) for number in range(1000)],
        "two bytes": [one for one in every if one < "\u0800" and one.isalpha() and one.lower() == one],
        "marks": [one for one in every if unicodedata.combining(one)],
        "written out": [one for one in every if len(unicodedata.normalize("NFKC", one)) > 3],
        "capitals": [one for one in every if one.lower() != one],
        "wide": [chr(0xFF41 + number) for number in range(26)],
        "beyond the first plane": [chr(0x20000 + 37 * number) for number in range(1000)],
        "right to left": [chr(0x5D0 + number) for number in range(27)],
        "ignored": ["\u00ad", "\u200b", "\u2060", "\ufe00"],
        "one": ["語"],
    }


def _hosts() -> Iterator[tuple[str, bytes]]:
    """In both addresses, as one label and as many, in order and in none, with escapes and as encoded."""
    choice = random.Random(_SEED)
    for name, characters in _alphabets().items():
        mixed = choice.sample(characters, len(characters))
        for length in (16, 59, 63, 64, 253, 1010):
            for total in sorted({length, 253, 1010}):
                for order, ones in (("in order", characters), ("mixed", mixed)):
                    host = _dotted(ones, length, total)
                    yield f"{name}, labels of {length}, {total} {order}", _addressed(host)
        escaped = "".join(f"%{byte:02x}" for one in mixed[:300] for byte in one.encode())
        yield f"{name} escaped", _addressed(escaped[:_MOST_HOST])
        for length in (3, 59, 300):
            label = "xn--" + _dotted(mixed, length, length).encode("punycode").decode()
            yield f"{name} encoded by {length}", _addressed(".".join([label] * 300)[:_MOST_HOST])


def _dotted(characters: Sequence[str], length: int, total: int) -> str:
    ones = [characters[number % len(characters)] for number in range(total)]
    return ".".join("".join(ones[start : start + length]) for start in range(0, total, length))[:total]


def _addressed(host: str) -> bytes:
    """An event with the host in its page and, as far as there is room, in its referrer."""
    fields = b'"url":"http://%s/"' % host.encode()[:3000].decode(errors="ignore").encode()
    left = MOST_BYTES - len(event(fields)) - 40
    return event(fields + b',"referrer":"http://%s/"' % host.encode()[: max(0, left)].decode(errors="ignore").encode())


def _numbers() -> Iterator[tuple[str, bytes]]:
    """Every mantissa with every exponent: alone, beside one that is near a bound, and in version 2."""
    mantissas = (b"1", b"0", b"12", b"1.5", b"0.01", b"-0.0", b"9" * 12, b"1.7976931348623157", b"9" * 110, b"9" * 199, b"9" * 200, b"9" * 308)  # fmt: skip
    exponents = (b"", b"e1", b"e09", b"e99", b"e-99", b"e100", b"E+0100", b"e199", b"e300", b"e308", b"e309", b"e-308", b"e-400", b"e617", b"e-9999", b"e-16383", b"e000000001")  # fmt: skip
    for mantissa in mantissas:
        for exponent in exponents:
            number = mantissa + exponent
            most = 120_000 // max(1, abs(int(exponent[1:] or 0)))
            name = (mantissa if len(mantissa) < 20 else b"%d digits" % len(mantissa)).decode() + exponent.decode()
            for beside in (b"1", b"0e617", b"9" * 308, b"9e308"):
                numbers = _few(number, most)
                yield f"{name} beside {beside[:6].decode()}", full(b'"properties":{"a":[', numbers, beside + b"]}")
            yield f"{name} in version 2", full(_VERSION_2 + b'"properties":{"a":[', _few(number, most), b"1]}")
            yield f"{name} unknown", full(b'"other":[', _few(number, most), b"1]")
        yield f"{mantissa.decode()} as an amount", event(b'"value":%s' % mantissa)


def _few(number: bytes, most: int) -> Callable[[int], bytes]:
    """The number so often that its exponents stay within their bound, and small ones then."""
    return lambda count: (number if count < most else b"1") + b","


def _texts() -> Iterator[tuple[str, bytes]]:
    """Escapes, letters and what looks like another thing, in each field that is text."""
    units = {
        "letters": b"x", "quotes": b'\\"', "backslashes": b"\\\\", "escaped letters": b"\\u0041", "controls": b"\\u0001", "no NUL": b"\\\\u0000",
        "NULs": b"\\u0000", "surrogates": b"\\ud83d\\ude00", "lone surrogates": b"\\ud83d", "emoji": "😀".encode(), "accents": "é".encode(),
        "combining": "a\u0301\u0316".encode(), "sharp s": "ß".encode(), "spaces": b" ", "percents": b"%", "numbers": b"1e999", "brackets": b"[",
        "capitals": b"aB", "underscores": b"_-", "browsers": b"Mozilla/5.0 (X11; ", "tabs": b"\\t", "zones": b"+00:00",
    }  # fmt: skip
    for name, unit in units.items():
        for field in (
            b"session_id",
            b"visitor_id",
            b"user_agent",
            b"url",
            b"referrer",
            b"currency",
            b"value",
            b"sent_at",
            b"other",
        ):
            yield f"{name} in {field.decode()}", full(b'"%s":"' % field, unit, b'"')
        yield f"{name} in a property", full(b'"properties":{"a":"', unit, b'"}')
        yield f"{name} in a name", full(b'"properties":{"', unit, b'":1}')
        yield f"{name} behind a host", full(b'"url":"http://x.test/', unit, b'"')
        yield f"{name} before a host", full(b'"url":"http://', unit, b'@x.test/"')
        yield f"{name} beside a control", full(b'"session_id":"\\u0001","properties":{"a":"', unit, b'"}')
        yield f"{name} in a type", event(event_type=(unit * 64)[:64])


def _queries() -> Iterator[tuple[str, bytes]]:
    """Campaigns: by name, escapes and order."""
    for before in (b"", b"utm_source=", b"utm_source=a&", b"a=b&", b"utm_x&"):
        for name, unit in {
            "separators": b"&", "fields": b"a=1&", "campaigns": b"utm_term=1&", "empty campaigns": b"utm_term=&", "names": b"utm_",
            "escapes": b"%41", "wide escapes": b"%e8%aa%9e", "half escapes": b"%", "broken escapes": b"%zz", "spaces": b"+", "backslashes": b"\\\\",
            "all campaigns": b"utm_source=%&utm_medium=%&utm_campaign=%&utm_term=%&utm_content=%&", "ideographs": "語".encode(), "escaped names": b"%75tm_term=1&",
        }.items():  # fmt: skip
            yield f"{name} behind {before.decode()}", full(b'"url":"http://x.test/?' + before, unit, b'&utm_content=x"')


def _fields() -> Iterator[tuple[str, bytes]]:
    """Fields again and again, unknown ones, wrong ones, escaped names, odd times and amounts."""
    units: dict[str, Unit] = {
        "ids": b'"event_id":"e-1",', "wrong ids": b'"event_id":1,', "pages": b'"url":"http://xn--bcher-kva.test/%",', "times": b'"sent_at":"2025-10-09T08:53:20.123456789+05:30",',
        "properties": b'"properties":{"a":1},', "wrong properties": b'"properties":1,', "types": b'"event_type":"Add To Cart",', "escaped names": b'"\\u0065vent_id":"e",',
        "unknown": lambda number: b'"%x":1,' % number, "unknown texts": lambda number: b'"%x":"\\u00e9",' % number, "unknown large": lambda number: b'"%x":1e99,' % number,
        "unknown lists": lambda number: b'"%x":[{}],' % number, "amounts": b'"value":"1e5",', "currencies": b'"currency":"eur",', "versions": b'"schema_version":1,',
    }  # fmt: skip
    for name, unit in units.items():
        for version in (b"", _VERSION_2):
            yield f"{name} {version.decode()}", full(version, unit, b'"z":1')
            yield f"{name} of no currency {version.decode()}", full(version + b'"currency":"xxx",', unit, b'"z":1')
    for amount in (
        b"1e14",
        b"1e-9999",
        b"0." + b"1" * 3500,
        b'"%s"' % (b"9" * 64),
        b'"1e-999999999"',
        b"1e-16383",
        b"9" * 3500,
    ):
        yield f"an amount of {amount[:12].decode()}", event(b'"value":' + amount)
    for time in (b'"2025-10-09T08:53:20.%sZ"' % (b"1" * 3500), b'"2025-09-30T23:59:60Z"', b"1e300", b"9" * 3500, b'""'):
        yield f"a time of {time[:12].decode()}", event(b'"sent_at":' + time)


def _nested() -> Iterator[tuple[str, bytes]]:
    """Depth and width below properties, and the end of it missing."""
    for depth in (1, 8, 15, 29, 40):
        for name, opened, closed in (("lists", b"[", b"]"), ("objects", b'{"":', b"}"), ("both", b'[{"a":', b"}]")):
            unit = opened * depth + b"1" + closed * depth + b","
            for last in (b"1]}", b'"\\u0000"]}', b"9e999]}", b""):
                yield f"{name} {depth} deep, {last.decode()}", full(b'"properties":{"a":[', unit, last)
    for depth in (1, 8, 28):
        inside = b'"properties":{"s":"' + b"\\u0001" * 60 + b'","a":' + b'{"a":' * (depth - 1) + b"{"
        yield f"names {depth} deep", full(inside, lambda number: b'"%x":1,' % number, b'"z":1}' + b"}" * depth)
