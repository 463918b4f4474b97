"""A mutant: the product without one mechanism."""

from typing import NamedTuple


class Edit(NamedTuple):
    """One change of one file.

    `where` is a file's path, or an unambiguous end of it. In Python mostly `::` follows, with the qualified name of a
    function, class or assigned name.
    `old` occurs there exactly once. In Python it is an expression or statements, compared as syntax: layout, comments,
    parentheses and quotes don't matter, and `...` matches any expression, any arguments or elements, and any
    statements. A lone `...` is the whole body of the function. In other files it is text, compared without white space.
    `new` replaces it. Without `new`, the innermost statement that contains `old` is deleted, or the text.
    """

    where: str
    old: str
    new: str = ""


class Mutant(NamedTuple):
    """A mechanism, the `edits` that remove it, and the tests that have to fail then."""

    name: str
    without: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]
