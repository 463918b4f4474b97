"""Resolution of an id's prefix to the one id that begins with it."""

from collections.abc import Sequence
from typing import Final

from schemas.errors import InvalidInput, NoSuchThing

SHORTEST: Final = 4
"""The shortest prefix, in characters. A shorter one would match too many ids."""

MOST_NAMED: Final = 5
"""The most matching ids that an error lists."""


def only(what: str, asked: str, found: Sequence[str], see: str) -> str:
    """Return the only id in `found`, the list of ids that begin with `asked`.

    If more than MOST_NAMED ids begin with `asked`, `found` needs only MOST_NAMED + 1 of them. `what` names the kind of
    thing and `see` a command that lists the ids, both for messages. Raises NoSuchThing if `found` is empty, and
    InvalidInput, with the ids, if it has several.
    """
    if len(found) == 1:
        return found[0]
    if not found:
        short = "" if len(asked.strip()) >= SHORTEST else f"; give at least the first {SHORTEST} characters of an id"
        raise NoSuchThing(f"there is no {what} {asked!r}; see `{see}`{short}")
    more = " and more" if len(found) > MOST_NAMED else ""
    names = ", ".join(found[:MOST_NAMED])
    raise InvalidInput(
        f"more than one {what} begins with {asked!r}: {names}{more}; give more of its characters, or see `{see}`"
    )
