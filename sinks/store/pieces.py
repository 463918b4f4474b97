"""Content of objects in pieces: small documents, and the digest of what is read or written."""

import hashlib
from collections.abc import AsyncIterator
from typing import Final

from schemas.errors import Damaged
from sinks.store.port import Store

MOST_JSON: Final = 16 << 20
"""The most bytes of a document, such as a manifest."""


class Digested:
    """Pieces whose number of bytes and SHA-256 are computed while they are read."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self.digest = hashlib.sha256()
        self.bytes = 0

    async def pieces(self) -> AsyncIterator[bytes]:
        async for piece in self._pieces:
            self.digest.update(piece)
            self.bytes += len(piece)
            yield piece


async def write_text(store: Store, name: str, text: str) -> None:
    """Write a small document to the store; raises StoreFailed."""

    async def pieces() -> AsyncIterator[bytes]:
        yield text.encode()

    await store.put(name, pieces())


async def read_small(store: Store, name: str) -> bytes:
    """Return the content of a document; raises NoSuchThing, StoreFailed, or Damaged if it is larger than any document."""
    content = bytearray()
    async for piece in store.get(name):
        content += piece
        if len(content) > MOST_JSON:
            raise Damaged(f"{name} has more than {MOST_JSON} bytes, which no such document has")
    return bytes(content)
