"""What the pages' tests go by: an answer that is not as the page shows is told, and only such a one."""

import pytest
from support.pages import missing

ANSWER = "dead letters    share\n          12  100.0 %\nplan 6f2d: sent\n"


@pytest.mark.parametrize(
    "shown",
    [("dead letters  share", "7 3.5 %"), ("12 100.0 %", "plan …: sent"), ("plan 6f2d: …",), ("…: sent",)],
)
def test_numbers_widths_and_ellipses_may_differ(shown: tuple[str, ...]) -> None:
    """And lines between may be left out."""
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
    """Another word, another order, half a line."""
    assert missing(shown, ANSWER) == [lacking]
