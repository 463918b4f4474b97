"""Ids by how they begin: the one thing that is meant, or an error that names what it may be."""

from collections.abc import Sequence
from typing import Final

from schemas.errors import InvalidInput, NoSuchThing

SHORTEST: Final = 4
"""Fewer characters of an id begin too much."""

MOST_NAMED: Final = 5
"""How many candidates an error names."""


def only(what: str, asked: str, found: Sequence[str], see: str) -> str:
    """The one id that begins as was asked, of `found`: all that do, or more than are named.

    Raises NoSuchThing if there is none or the beginning is too short, and InvalidInput that names the candidates if there are
    several.
    """
    if len(found) == 1:
        return found[0]
    if not found:
        short = "" if len(asked.strip()) >= SHORTEST else f"; the beginning of an id has at least {SHORTEST} characters"
        raise NoSuchThing(f"there is no {what} {asked!r}; see `{see}`{short}")
    more = " and more" if len(found) > MOST_NAMED else ""
    names = ", ".join(found[:MOST_NAMED])
    raise InvalidInput(f"more than one {what} begins with {asked!r}: {names}{more}; give more of it, or see `{see}`")
