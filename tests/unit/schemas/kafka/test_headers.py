"""Header codecs: the last of equal names wins, and an invalid text or number is absent."""

import pytest

from schemas.kafka.headers import bounded_text, last, last_int


def test_the_last_of_equal_names_wins() -> None:
    """Ours come last, so a producer's header of the same name does not count."""
    assert last([("a", b"1"), ("b", b"x"), ("a", b"2")], "a") == "2"
    assert last([("a", b"1"), ("a", None)], "a") is None


@pytest.mark.parametrize("value", [None, b"\xff", b"\xed\xa0\x80"])
def test_what_is_no_text_is_absent(value: bytes | None) -> None:
    """Null and invalid UTF-8 are absent, and nothing raises."""
    assert last([("a", value)], "a") is None
    assert last([], "a") is None


@pytest.mark.parametrize(
    ("value", "number"),
    [(b"0", 0), (b"9" * 19, int("9" * 19)), (b"007", 7)]
    + [
        (odd, None) for odd in (b"", b"-1", b"+1", b"1.0", b" 1", b"1_0", "١".encode(), b"9" * 20, b"9" * 5000, b"\xff")
    ],
)
def test_integers_are_plain_ascii_digits(value: bytes, number: int | None) -> None:
    """An integer has at most 19 digits."""
    assert last_int([("n", value)], "n") == number


def test_error_text_is_bounded_and_storable() -> None:
    """At most 1 KiB of UTF-8, cut at a character; NUL and lone surrogates are replaced."""
    assert bounded_text("a\x00b") == "a\ufffdb"
    assert bounded_text("a\ud800b") == "a?b"
    assert bounded_text("é" * 1000) == "é" * 512
    assert bounded_text("x" + "é" * 3, limit=4) == "xé"
