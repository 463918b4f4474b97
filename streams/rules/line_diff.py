"""A unified diff of two texts, at a bounded cost; pure."""

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from itertools import islice, takewhile
from typing import Final

# The limits of a diff in a plan. Comparing repeated lines takes time that grows with the third power of their number.
_MOST_COMPARED: Final = 200
_MOST_SHOWN: Final = 200
_AROUND: Final = 1


def line_diff(old: Sequence[str], new: Sequence[str], old_name: str, new_name: str) -> list[str]:
    """Return a unified diff of the texts, as one hunk from the first to the last difference, with one line of context.

    Of long texts only the beginning is compared.
    """
    if old == new:
        return []
    start = max(0, _same(old, new) - _AROUND)
    before, after = old[start:], new[start:]
    most = min(len(before), len(after))
    tail = max(0, _same(before[: -most - 1 : -1], after[: -most - 1 : -1]) - _AROUND)
    before, after = before[: len(before) - tail], after[: len(after) - tail]
    compared = _hunks(before[:_MOST_COMPARED], after[:_MOST_COMPARED], start)
    lines = [f"--- {old_name}", f"+++ {new_name}", *islice(compared, _MOST_SHOWN - 1)]
    if len(lines) > _MOST_SHOWN or max(len(before), len(after)) > _MOST_COMPARED:
        lines = [*lines[:_MOST_SHOWN], "… the rest is not compared"]
    return lines


def _same(old: Sequence[str], new: Sequence[str]) -> int:
    """Return how many lines at the beginning of both texts are equal."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(old, new, strict=False)))


def _hunks(old: Sequence[str], new: Sequence[str], start: int) -> Iterator[str]:
    for group in SequenceMatcher(None, old, new).get_grouped_opcodes(_AROUND):
        (_, *begin), (_, *end) = group[0], group[-1]
        yield f"@@ -{_range(begin[0], end[1], start)} +{_range(begin[2], end[3], start)} @@"
        for tag, i1, i2, j1, j2 in group:
            if tag == "equal":
                yield from (f" {line}" for line in old[i1:i2])
            else:
                yield from (f"-{line}" for line in old[i1:i2])
                yield from (f"+{line}" for line in new[j1:j2])


def _range(begin: int, end: int, start: int) -> str:
    """Return a range of lines as a unified diff's hunk header has it.

    Lines count from 1. An empty range has the number of the line before it.
    """
    length = end - begin
    return f"{start + begin + (1 if length else 0)}" + ("" if length == 1 else f",{length}")
