"""A mutant: the product without one mechanism."""

from typing import NamedTuple


class Edit(NamedTuple):
    """One change of one file.

    `where` is a file's path, or as much of its end as no other has, and, in Python, mostly `::` and the qualified name of a function, class or assigned name.
    `old` occurs there exactly once. In Python it is an expression or statements, compared as syntax: layout, comments,
    parentheses and quotes don't matter, and `...` matches any expression, any arguments or elements, and any
    statements. A lone `...` is the whole body of the function. In other files it is text, compared without its white space.
    `new` takes its place. Without it, the innermost statement that holds `old` is deleted, or the text.
    """

    where: str
    old: str
    new: str = ""


class Mutant(NamedTuple):
    """A mechanism that is taken out by `edits`, and the tests that have to fail then."""

    name: str
    without: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]
