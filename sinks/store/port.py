"""The port of a store of large objects, and the rule for the objects' names."""

import re
from collections.abc import AsyncIterator
from datetime import datetime
from typing import NamedTuple, Protocol

from schemas.errors import InvalidInput

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._=-]*(?:/[A-Za-z0-9_][A-Za-z0-9._=-]*)*")
_LONGEST = 500


class StoredObject(NamedTuple):
    """An object of a store: its name, its size in bytes, and the time of its last change."""

    name: str
    bytes: int
    modified_at: datetime


class Store(Protocol):
    """A store of objects. Names have parts of letters, digits, dots, hyphens, underscores and equals signs, separated by
    slashes.

    All operations raise StoreFailed if the store does not answer, is full or refuses, and InvalidInput for a name that
    no object can have. An object is seen only once it is whole. An interrupted `put` leaves nothing that is seen.
    """

    @property
    def address(self) -> str:
        """The store's URL, without secrets, for messages."""
        ...

    async def put(self, name: str, pieces: AsyncIterator[bytes]) -> int:
        """Write an object, or replace it; return its size in bytes.

        An error of `pieces` is raised again, and the object is not written.
        """
        ...

    def get(self, name: str) -> AsyncIterator[bytes]:
        """Yield an object's content in pieces; raises NoSuchThing if there is no such object."""
        ...

    async def objects(self, prefix: str) -> list[StoredObject]:
        """Return the objects whose names begin with `prefix` and a slash, by name."""
        ...

    async def head(self, name: str) -> StoredObject | None:
        """Return an object without its content; None if there is no such object."""
        ...

    async def delete(self, name: str) -> None:
        """Remove an object. An object that does not exist is no error."""
        ...


def checked_name(name: str) -> str:
    """Return the name; raises InvalidInput if no object can have it."""
    if len(name) > _LONGEST or not _NAME.fullmatch(name):
        raise InvalidInput(
            f"{name[:80]!r} is no object's name: use letters, digits, dots, hyphens, underscores and =, in parts separated by /"
        )
    return name
