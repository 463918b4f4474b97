"""The choice of a store by the URL in the settings."""

from pathlib import Path

from schemas.config.store_address import store_address
from schemas.errors import InvalidInput
from sinks.store.directory import DirectoryStore
from sinks.store.port import Store


def open_store(url: str) -> Store:
    """Return the store at the URL; raises InvalidInput if the URL is malformed. Nothing is written or asked yet."""
    try:
        address = store_address(url)
    except ValueError as error:
        raise InvalidInput(f"BRIDGE_STORE_URL: {error}") from None
    if address.kind == "directory":
        return DirectoryStore(Path(address.path))
    # Only commands that use a bucket load the native library.
    from sinks.store.s3 import BucketStore

    return BucketStore(address.bucket, address.path)
