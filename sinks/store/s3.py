"""A store in a bucket with the S3 protocol. A large object is written in parts, and is seen once all parts are there."""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from schemas.errors import NoSuchThing, StoreFailed
from sinks.store.port import StoredObject, checked_name

PART: Final = 32 << 20
"""The size of a part, in bytes. S3 takes 10,000 parts, so an object has at most 320 GB."""
_PARTS_AT_ONCE: Final = 2
_PIECE: Final = 1 << 20
_LONGEST_REASON: Final = 300
_S3_REASON = re.compile(r"<Code>([^<]*)</Code>\s*<Message>([^<]*)</Message>")
_REMEDY: Final = (
    "check BRIDGE_STORE_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL, and that the "
    "account may list, read, write and delete"
)


class BucketStore:
    """A store in a bucket, under a prefix. The variables `AWS_*` of the environment have credentials and address."""

    def __init__(self, bucket: str, prefix: str, *, part_bytes: int = PART, retry_seconds: float = 60) -> None:
        self._part_bytes = part_bytes
        self._address = f"s3://{bucket}/{prefix}".rstrip("/")
        with self._errors("use it"):
            self._store = S3Store(
                bucket,
                prefix=prefix or None,
                retry_config={
                    "max_retries": 8 if retry_seconds else 0,
                    "retry_timeout": timedelta(seconds=retry_seconds),
                },
            )

    @property
    def address(self) -> str:
        return self._address

    async def put(self, name: str, pieces: AsyncIterator[bytes]) -> int:
        counted = _Counted(pieces)
        with self._errors(f"write {name}"):
            # If the pieces raise an error, obstore aborts the upload, and the parts are removed.
            await obstore.put_async(
                self._store,
                checked_name(name),
                counted.pieces(),
                use_multipart=True,
                chunk_size=self._part_bytes,
                max_concurrency=_PARTS_AT_ONCE,
            )
        return counted.bytes

    async def get(self, name: str) -> AsyncIterator[bytes]:
        checked_name(name)
        try:
            with self._errors(f"read {name}"):
                found = await obstore.get_async(self._store, name)
        except FileNotFoundError:
            raise NoSuchThing(f"{self.address}: there is no {name}") from None
        pieces = found.stream(min_chunk_size=_PIECE).__aiter__()
        while True:
            with self._errors(f"read {name}"):
                try:
                    piece = await anext(pieces)
                except StopAsyncIteration:
                    return
            yield bytes(piece)

    async def objects(self, prefix: str) -> list[StoredObject]:
        with self._errors(f"list {prefix}"):
            found = await obstore.list(self._store, checked_name(prefix)).collect_async()
            return sorted(StoredObject(one["path"], one["size"], one["last_modified"]) for one in found)

    async def head(self, name: str) -> StoredObject | None:
        checked_name(name)
        try:
            with self._errors(f"read {name}"):
                found = await obstore.head_async(self._store, name)
        except FileNotFoundError:
            return None
        return StoredObject(found["path"], found["size"], found["last_modified"])

    async def delete(self, name: str) -> None:
        with self._errors(f"remove {name}"):
            await obstore.delete_async(self._store, checked_name(name))

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            # Also the answer to a write into a bucket that does not exist.
            if what.startswith("read"):
                raise
            raise StoreFailed(f"{self.address}: can't {what}: {_reason(error)}; {_REMEDY}") from error
        except (BaseError, PermissionError, TimeoutError) as error:
            raise StoreFailed(f"{self.address}: can't {what}: {_reason(error)}; {_REMEDY}") from error


class _Counted:
    """Pieces of an object, whose bytes are counted while they are read."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces
        self.bytes = 0

    async def pieces(self) -> AsyncIterator[bytes]:
        async for piece in self._pieces:
            self.bytes += len(piece)
            yield piece


def _reason(error: Exception) -> str:
    """Return what the server answered: its code and message, or else the first line of the error."""
    text = str(error)
    if (said := _S3_REASON.search(text)) is not None:
        return f"{said[1]}: {said[2].rstrip('.')}"
    return text.partition("\n")[0][:_LONGEST_REASON]
