"""API keys of producers' servers: how they are created and parsed. Only a digest of a key's secret is stored."""

import hashlib
import re
from collections.abc import Callable
from typing import Final, NamedTuple

PREFIX: Final = "sk_"
"""The prefix of every key, by which the redaction of logs recognises it."""

_ID_BYTES = 6
_SECRET_BYTES = 32
_FORM = re.compile(r"sk_([0-9a-f]{12})_([0-9a-f]{64})")


class ApiKey(NamedTuple):
    """An API key as the registry stores it: the script for which it may send events, and the digest of its secret.

    A revoked key stays in the registry, so that a request with the key gets the right error.
    """

    key_id: str
    script_id: str
    digest: bytes
    revoked: bool


class NewKey(NamedTuple):
    """A new API key. `text` is the key itself, which is shown to the operator once and not stored."""

    key_id: str
    text: str
    digest: bytes


def make_key(random: Callable[[int], bytes]) -> NewKey:
    """Create an API key with a secret of 256 random bits.

    `random` is called with a number of bytes, and returns random bytes.
    """
    key_id, secret = random(_ID_BYTES).hex(), random(_SECRET_BYTES).hex()
    return NewKey(key_id, f"{PREFIX}{key_id}_{secret}", digest_of(secret))


def digest_of(secret: str) -> bytes:
    """Return the digest of a key's secret, which is stored instead of the secret.

    The secret is random, so a slow hash would add no protection.
    """
    return hashlib.sha256(secret.encode()).digest()


def read_key(text: str) -> tuple[str, bytes] | None:
    """Return the id in an API key, and the digest of its secret; None if the text does not have the form of a key."""
    match = _FORM.fullmatch(text)
    return None if match is None else (match[1], digest_of(match[2]))
