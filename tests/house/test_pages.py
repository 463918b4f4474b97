"""The comparison of outputs with pages: it reports each difference from the page, and nothing else."""

import pytest
from support.pages import missing

ANSWER = "dead letters    share\n          12  100.0 %\nplan 6f2d: sent\n"


@pytest.mark.parametrize(
    "shown",
    [("dead letters  share", "7 3.5 %"), ("12 100.0 %", "plan …: sent"), ("plan 6f2d: …",), ("…: sent",)],
)
def test_numbers_widths_and_ellipses_may_differ(shown: tuple[str, ...]) -> None:
    """The page may leave out lines."""
    assert missing(shown, ANSWER) == []


@pytest.mark.parametrize(
    ("shown", "lacking"),
    [
        (("plan 6f2d: stopped",), "plan 6f2d: stopped"),
        (("plan …: sent", "12 100.0 %"), "12 100.0 %"),
        (("dead letters",), "dead letters"),
        (("12 100.0 % …x",), "12 100.0 % …x"),
    ],
)
def test_anything_else_is_told(shown: tuple[str, ...], lacking: str) -> None:
    """It reports another word, another order, and half a line."""
    assert missing(shown, ANSWER) == [lacking]
