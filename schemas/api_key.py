"""API keys of server producers: how one is made, read, and kept without keeping its secret."""

import hashlib
import re
from collections.abc import Callable
from typing import Final, NamedTuple

PREFIX: Final = "sk_"
"""Maskers of logs know secrets that begin so."""

_ID_BYTES = 6
_SECRET_BYTES = 32
_FORM = re.compile(r"sk_([0-9a-f]{12})_([0-9a-f]{64})")


class ApiKey(NamedTuple):
    """A key as the registry keeps it: whose it is, and the digest of its secret; a revoked one is kept to be named."""

    key_id: str
    script_id: str
    digest: bytes
    revoked: bool


class NewKey(NamedTuple):
    """A key that was just made; `text` is shown once and kept nowhere."""

    key_id: str
    text: str
    digest: bytes


def make_key(random: Callable[[int], bytes]) -> NewKey:
    """A key of 256 random bits; `random` gives so many random bytes."""
    key_id, secret = random(_ID_BYTES).hex(), random(_SECRET_BYTES).hex()
    return NewKey(key_id, f"{PREFIX}{key_id}_{secret}", digest_of(secret))


def digest_of(secret: str) -> bytes:
    """What is kept of a secret. It is as random as its digest is long, so that a slow hash would guard nothing more."""
    return hashlib.sha256(secret.encode()).digest()


def read_key(text: str) -> tuple[str, bytes] | None:
    """The key's id and its secret's digest; None if the text has not the form of a key."""
    match = _FORM.fullmatch(text)
    return None if match is None else (match[1], digest_of(match[2]))
