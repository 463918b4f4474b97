"""The reading of an archive's files: their bytes are compared with the manifest before their rows are read."""

import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import IO

from bridge.archives.objects import columns_of, directory
from schemas.documents.archive_manifest import ArchivedFile, ArchiveManifest
from schemas.errors import Damaged, NoSuchThing
from sinks.archives.digests import Values
from sinks.archives.parquet import read_rows
from sinks.store.pieces import Digested
from sinks.store.port import Store

_IN_MEMORY = 64 << 20
"""A file of more bytes is read by way of a temporary file without a name."""


@asynccontextmanager
async def opened_file(
    store: Store, manifest: ArchiveManifest, file: ArchivedFile
) -> AsyncIterator[Iterator[list[Values]]]:
    """Yield the rows of a file in batches; raises Damaged if it is missing, or not what the manifest says, or StoreFailed."""
    name = f"{directory(manifest.month, manifest.archive_id)}/{file.name}"
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as content:
        await _fetch(store, name, file, content)
        yield read_rows(content, columns_of(manifest), name)


async def _fetch(store: Store, name: str, file: ArchivedFile, into: IO[bytes]) -> None:
    stored = Digested(store.get(name))
    try:
        async for piece in stored.pieces():
            into.write(piece)
    except NoSuchThing:
        raise Damaged(f"{name}: the file is missing") from None
    if stored.bytes != file.bytes:
        raise Damaged(f"{name}: the file is damaged: it has {stored.bytes} bytes, the manifest says {file.bytes}")
    if stored.digest.hexdigest() != file.sha256:
        raise Damaged(f"{name}: the file is damaged: its SHA-256 is not the one in the manifest")
    into.seek(0, os.SEEK_SET)
