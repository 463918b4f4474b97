"""A mutant: the product without one mechanism."""

from typing import NamedTuple


class Mutant(NamedTuple):
    """The product without one mechanism: each text of `edits` stands in exactly one place of it and is replaced."""

    name: str
    without: str
    edits: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]
