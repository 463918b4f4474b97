"""Checks of JSON text for its nesting, numbers and escapes.

They scan the text in C, without an object for each value.
"""

import re
from bisect import bisect_left, bisect_right
from decimal import Decimal, InvalidOperation
from itertools import accumulate
from operator import indexOf
from typing import Final

import msgspec

from schemas.events.raw_event import MAX_EXPONENTS

# The largest exponent of a double. Most readers see a larger number as Infinity, and a too small one as 0.
_LARGEST_EXPONENT: Final = 308
_LARGEST_ZERO: Final = 2 * _LARGEST_EXPONENT
_MOST_DECIMALS: Final = 16_383  # the most decimals of Postgres' numeric type, which refuses a row with more

# Searching for a byte by its number takes a tenth of the time of searching for a bytes object.
_BACKSLASH, _QUOTE = b'\\"'
_ALL_BUT_MARKS = bytes(set(range(256)) - set(b'"[]{}'))
_ALL_BUT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
# In place of a backslash and what it escapes. UTF-8 has no such byte.
_ESCAPE = b"\xff"
_BACKSLASH_OR_ESCAPE = re.compile(rb"[\\\xff]").search
# Maps every digit to 0, and E to e. A search for a few bytes then replaces a much slower regular expression.
_DIGIT_OR_E = bytes.maketrans(b"123456789E", b"000000000e")
MANY_DIGITS: Final = 200
"""A number fits a double if it has fewer digits than this and an exponent of at most two digits."""
_MANY = b"0" * MANY_DIGITS
_DIGITS: Final = (MANY_DIGITS, 10)
"""Numbers of digits that are looked for when an exponent is large. Most numbers with a large exponent have few digits."""
_LARGE_EXPONENT = re.compile(rb"0e[+-]?000").search
_TWO_DIGITS = (b"0e00", b"0e-00", b"0e+00")
_EXPONENTS = re.compile(rb"e[+-]?0*([1-9][0-9]{1,4})").findall
_decode_integers = msgspec.json.Decoder(list[int]).decode
# Of true, false and null only an e is left.
_BESIDE_NUMBERS = bytes.maketrans(b"[]{},:\n\r\ttrufalsn", b" " * 17)
_SHORTEST_DOUBTFUL = len("1e100")
_SURE_DECIMALS = _MOST_DECIMALS - _LARGEST_EXPONENT
plain_number = re.compile(r"-?[0-9]{1,199}+(?:\.[0-9]{1,199}+)?(?:[eE][+-]?0*[0-9]{1,2})?", re.ASCII).fullmatch
"""A pattern for most of the numbers that `check_number` accepts; matching takes a tenth of that function's time."""
_DOUBTFUL_ESCAPE = re.compile(rb"\\u(?:0000|[dD])").search
_UNSOUND_ESCAPE = re.compile(
    rb"\\u(?:0000|[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u)[dD][c-fC-F])"
).search


def nesting(text: bytes) -> int:
    """Return how deep arrays and objects are nested in a text.

    The result is exact for valid JSON, and for any text without a backslash.
    """
    marks = _without_escapes(text).translate(None, _ALL_BUT_MARKS)
    if _QUOTE in marks:
        # Adjacent strings without a bracket between them count as one string, because only brackets outside strings
        # matter.
        marks = b"".join(marks.replace(b'""', b"").split(b'"')[::2])
    return max(accumulate(memoryview(marks.translate(_STEPS)).cast("b"), initial=0))


def first_deeper(text: bytes, depth: int) -> int | None:
    """Return the index of the first bracket that is nested deeper than `depth`; None if no bracket is.

    Brackets behind a backslash outside of strings don't count, because JSON ends there.
    """
    strings = text.replace(rb"\\", _ESCAPE * 2).replace(rb"\"", _ESCAPE * 2).split(b'"')
    parts = strings[::2]
    outside = b"".join(parts)
    if found := _BACKSLASH_OR_ESCAPE(outside):
        outside = outside[: found.start()]
    steps = memoryview(outside.translate(None, _ALL_BUT_BRACKETS).translate(_STEPS)).cast("b")
    try:
        bracket = indexOf(accumulate(steps), depth + 1)
    except ValueError:
        return None

    def brackets(end: int) -> int:
        return len(outside[: end + 1].translate(None, _ALL_BUT_BRACKETS))

    index = bisect_left(range(len(outside)), bracket + 1, key=brackets)
    starts = list(accumulate(map(len, parts), initial=0))
    part = bisect_right(starts, index) - 1
    return index - starts[part] + sum(map(len, strings[: 2 * part])) + 2 * part


def has_unsound_escape(text: bytes) -> bool:
    """Return whether JSON text has an escape sequence for a NUL or a lone surrogate. Neither can be stored."""
    if _BACKSLASH not in text or _DOUBTFUL_ESCAPE(text) is None:
        return False
    return _UNSOUND_ESCAPE(text.replace(rb"\\", b"__")) is not None


def numbers_fit(text: bytes) -> bool:
    """Return whether all numbers of a JSON text can be stored.

    `check_number` must accept each of them, and their exponents may add up to at most MAX_EXPONENTS.
    """
    # Most texts have only short numbers without exponents, for which this check suffices.
    if len(text) < MANY_DIGITS and b"0e" not in text.translate(_DIGIT_OR_E):
        return True
    if not _doubtful(text):
        return True
    numbers = _outside_strings(text)
    if not _doubtful(numbers):
        return True
    found = _integers(_EXPONENTS(numbers))
    if sum(found) > MAX_EXPONENTS:
        return False
    largest = max(found, default=0)
    digits = numbers.translate(_DIGIT_OR_E)
    # A number of so many digits with such an exponent fits a double.
    if any(largest + count <= _LARGEST_EXPONENT and b"0" * count not in digits for count in _DIGITS):
        return True
    words = numbers.translate(_BESIDE_NUMBERS).decode("latin-1").split()
    return _all_fit([word for word in words if len(word) >= _SHORTEST_DOUBTFUL])


def exponents(text: bytes) -> int:
    """Return how many digits are added when all numbers of a JSON text are written without exponents.

    It is the sum of the exponents' absolute values; exponents from -9 to 9 are left out.
    """
    return sum(_integers(_EXPONENTS(_outside_strings(text))))


def check_number(text: str) -> None:
    """Raise ValueError with the reason if a double, or Postgres' numeric type, can't represent this JSON number."""
    if plain_number(text):
        return
    if text.lstrip("-").isdigit():
        if len(text) > _LARGEST_EXPONENT:
            raise ValueError(f"an integer of {len(text)} digits is out of range")
        return
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal("Infinity")
    exponent = number.as_tuple().exponent
    if (
        not isinstance(exponent, int)
        or (number and number.adjusted() > _LARGEST_EXPONENT)
        or exponent < -_MOST_DECIMALS
        or exponent > _LARGEST_ZERO + len(text)
    ):
        raise ValueError(f"the number {text[:40]} is out of range")


def _all_fit(texts: list[str]) -> bool:
    """Return whether `check_number` accepts all these numbers. It is called only for numbers that are near a limit."""
    try:
        numbers = list(map(Decimal, texts))
        for text, number, power in zip(texts, numbers, map(Decimal.adjusted, numbers), strict=True):
            if power > _LARGEST_EXPONENT:
                if number or power > _LARGEST_ZERO + len(text):
                    return False
            elif power <= -_SURE_DECIMALS or len(text) > _LARGEST_EXPONENT:
                check_number(text)
    except (InvalidOperation, ValueError):
        return False
    return True


def _integers(numbers: list[bytes]) -> list[int]:
    return _decode_integers(b"[%b]" % b",".join(numbers))


def _doubtful(text: bytes) -> bool:
    """Return whether the JSON text may contain a number that can't be stored.

    The answer may be wrongly True, because digits inside strings are taken for numbers.
    """
    marked = text.translate(_DIGIT_OR_E)
    if len(text) >= MANY_DIGITS and marked.find(_MANY) >= 0:
        return True
    if marked.find(b"0e") < 0:
        return False
    return _LARGE_EXPONENT(marked) is not None or 99 * sum(map(marked.count, _TWO_DIGITS)) > MAX_EXPONENTS


def _outside_strings(text: bytes) -> bytes:
    """Return JSON text with its strings removed, and with `e` instead of `E` before each exponent."""
    return b" ".join(_without_escapes(text).split(b'"')[::2]).replace(b"E", b"e")


def _without_escapes(text: bytes) -> bytes:
    return text.replace(rb"\\", b"").replace(rb"\"", b"") if _BACKSLASH in text else text
