"""Scans of JSON text: nesting, escapes and numbers, each at its limit, and texts that only look similar."""

import pytest

from schemas.events.raw_event import MAX_EXPONENTS
from streams.pipeline.json_text import check_number, first_deeper, has_unsound_escape, nesting, numbers_fit


@pytest.mark.parametrize(
    ("text", "depth"),
    [
        (b"1", 0),
        (b"[]", 1),
        (b'{"a":[{},[]]}', 3),
        (b'["[[", "]]", {}]', 2),
        (b'["", "[", "", [[]]]', 3),
        (rb'["\"[[\\", [], "\\\"[["]', 2),
        (b'["[[', 1),
        (b"]]][[", 0),
    ],
)
def test_nesting_counts_brackets_outside_of_texts(text: bytes, depth: int) -> None:
    """Escaped quotes end no text, and unbalanced brackets count from the start."""
    assert nesting(text) == depth


@pytest.mark.parametrize(
    ("text", "index"),
    [
        (b"[[]]", None),
        (b"[[[]]]", 2),
        (b"[[],[{}]]", 5),
        (b'["[[[",[[', 8),
        (rb'["\"[[\\", [], "\\\"[[", [[', 26),
        (b'[["[[[[', None),
        (b"]][[[[[", 6),
        (rb"[[\[[", None),
        (rb'[["\[[', None),
    ],
)
def test_the_first_bracket_that_is_nested_too_deep(text: bytes, index: int | None) -> None:
    """Brackets in texts don't count, and JSON ends at a backslash outside of them."""
    assert first_deeper(text, 2) == index


@pytest.mark.parametrize(
    ("text", "unsound"),
    [
        (rb'"\u0000"', True),
        (rb'"\\u0000"', False),
        (rb'"\\\u0000"', True),
        (rb'"\ud83d\ude00"', False),
        (rb'"\uD83D\uDE00\ud83d\ude00"', False),
        (rb'"\ud83d"', True),
        (rb'"\ud83d\\ude00"', True),
        (rb'"\ude00"', True),
        (rb'"\ud83d\ud83d\ude00"', True),
        (rb'"\ud83d\ude00\ude00"', True),
        (rb'"\ud7ff\ue000\u00e9"', False),
    ],
)
def test_an_unsound_escape_is_a_nul_or_half_of_a_character(text: bytes, unsound: bool) -> None:
    """An escaped backslash begins no escape."""
    assert has_unsound_escape(text) == unsound


NUMBERS = {
    "1e308": True, "1e309": False, "1e-308": True, "5e-324": True, "1e-16383": True, "1e-16384": False, "0e-16383": True, "0e617": True, "0e999": False, "1E0000007": True,
    "-" + "9" * 307: True, "9" * 308: True, "9" * 309: False, "-" + "9" * 308: False, "1e" + "9" * 5000: False,
    "9" * 250 + "e57": True, "9" * 250 + "e99": False, "0." + "0" * 400 + "1": True, "0." + "0" * 400 + "1e200": True,
    "0." + "1" * 16_383: True, "0." + "1" * 16_384: False, "1." + "0" * 16_384: False, "0." + "9" * 199 + "e-99": True,
}  # fmt: skip


@pytest.mark.parametrize(("number", "fits"), NUMBERS.items(), ids=lambda one: str(one)[:20])
def test_a_number_fits_if_double_and_numeric_can_hold_it(number: str, fits: bool) -> None:
    """The text scan and the check of a single number agree."""
    assert numbers_fit(f'{{"a":[1,{number} ,2]}}'.encode()) == fits
    if fits:
        check_number(number)
    else:
        with pytest.raises(ValueError, match="is out of range"):
            check_number(number)


def test_a_text_is_no_number() -> None:
    """A quoted number is a text."""
    assert numbers_fit(b'{"a":"1e999","b":"%s","c":"\\"1e999"}' % (b"9" * 400))


@pytest.mark.parametrize("exponent", ["99", "-99", "+0300", "-9999", "-16383"])
def test_the_exponents_of_all_numbers_have_a_bound(exponent: str) -> None:
    """Numbers up to the limit pass and one more fails."""
    most = MAX_EXPONENTS // abs(int(exponent))
    for count in (most, most + 1):
        assert numbers_fit(b"[" + f"1e{exponent},".encode() * count + b"1]") == (count == most)
