"""Cooperative work, run without pauses."""

from typing import TypeVar

from streams.rules.json_source import Pieces

T = TypeVar("T")


def at_once(work: Pieces[T]) -> T:
    """Run the work to its end and return its result."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            found: T = end.value
            return found
