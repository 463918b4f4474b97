"""Work in pieces, done at once."""

from typing import TypeVar

from streams.rules.json_source import Pieces

T = TypeVar("T")


def at_once(work: Pieces[T]) -> T:
    """What it comes to."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            found: T = end.value
            return found
