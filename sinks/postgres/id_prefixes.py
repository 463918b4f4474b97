"""Resolution of id prefixes: the one matching id, or an error that names the candidates."""

from collections.abc import Sequence
from typing import Final

from schemas.errors import InvalidInput, NoSuchThing

SHORTEST: Final = 4
"""The shortest prefix, in characters: shorter ones match too many ids."""

MOST_NAMED: Final = 5
"""The most candidates that an error names."""


def only(what: str, asked: str, found: Sequence[str], see: str) -> str:
    """Return the only id with the given prefix, of `found`: all matches, or more than are named.

    Raises NoSuchThing if there is none or the prefix is too short, and InvalidInput with the candidates if there are
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
