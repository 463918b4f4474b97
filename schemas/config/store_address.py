"""The address of the store for backups: a directory of this machine, or a bucket with the S3 protocol."""

import re
from typing import Final, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

FORM: Final = "expected file:///directory or s3://bucket/prefix"
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_PREFIX = re.compile(r"(?:[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*)?")


class StoreAddress(NamedTuple):
    """The parts of a store's URL. `bucket` is empty for a directory, whose absolute path is `path`."""

    kind: Literal["directory", "s3"]
    bucket: str
    path: str


def store_address(url: str) -> StoreAddress:
    """Return the parts of a store's URL. Raises ValueError with a message that never contains the URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise ValueError(f"is not a URL; {FORM}") from None
    if "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(
            f"has a user, a password or parameters, which belong into the variables AWS_ACCESS_KEY_ID and "
            f"AWS_SECRET_ACCESS_KEY; {FORM}"
        )
    path = unquote(parts.path)
    if ".." in path.split("/") or "\0" in path:
        raise ValueError(f"has .. in its path; {FORM}")
    if parts.scheme == "file":
        if parts.netloc or not path.startswith("/") or not path.strip("/"):
            raise ValueError(f"names no absolute directory; {FORM}")
        return StoreAddress("directory", "", "/" + path.strip("/"))
    if parts.scheme == "s3":
        prefix = path.strip("/")
        if not _BUCKET.fullmatch(parts.netloc) or not _PREFIX.fullmatch(prefix):
            raise ValueError(f"names no bucket, or a prefix with other characters than A-Z, a-z, 0-9, . _ -; {FORM}")
        return StoreAddress("s3", parts.netloc, prefix)
    raise ValueError(f"begins with neither file:// nor s3://; {FORM}")
