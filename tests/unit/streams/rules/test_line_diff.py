"""The diff that a plan shows: equal to the standard library's for small changes, and cheap for large ones."""

import difflib
import sys
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.rules.line_diff import line_diff

LINES = st.lists(st.sampled_from("abcd"), max_size=12)
REPEATED = 60


@given(LINES, LINES, LINES, LINES)
def test_a_diff_leads_from_one_text_to_the_other(
    head: list[str], old: list[str], new: list[str], tail: list[str]
) -> None:
    """Applying the diff at its line numbers turns one text into the other."""
    before, after = head + old + tail, head + new + tail
    lines = line_diff(before, after, "old", "new")
    assert (lines == []) == (before == after)
    at, made = 0, []
    for line in lines[2:]:
        if line.startswith("@@"):
            begin, _, length = line.split()[1][1:].partition(",")
            upto = int(begin) - (0 if length == "0" else 1)
            made += before[at:upto]
            at = upto
            continue
        if line[0] in " -":
            assert before[at] == line[1:]
            at += 1
        if line[0] in " +":
            made.append(line[1:])
    assert made + before[at:] == after


def test_a_diff_is_that_of_the_standard_library() -> None:
    """Line numbers far from the beginning are equal too."""
    old = [str(number) for number in range(5000)]
    for new in (
        [*old[:3000], "x", *old[3001:]], [*old[:3000], *old[3002:]], ["x", *old], [*old, "x"], old[:-1], old[1:],
        [*old[:3000], "x", *old[3001:3050], "y", *old[3051:]],
    ):  # fmt: skip
        assert line_diff(old, new, "a", "b") == list(difflib.unified_diff(old, new, "a", "b", lineterm="", n=1))


@pytest.mark.parametrize("repeated", [1, 2, REPEATED, 990])
def test_a_diff_costs_no_more_than_is_shown(repeated: int) -> None:
    """Repeated lines between others, which take difflib seconds, stay cheap."""
    old, new = (
        [str(one) for number in range(990) for one in (number % repeated, number + unique)] for unique in (5000, 9000)
    )
    calls = count()
    sys.setprofile(lambda *_: next(calls) and None)
    try:
        lines = line_diff(old, new, "a", "b")
    finally:
        sys.setprofile(None)
    assert next(calls) < 200_000
    assert len(lines) == 201
    assert lines[-1].startswith("… the rest is not compared")
