"""API keys of server producers: creation, parsing, and storage as a digest of the secret."""

import hashlib
import re
from collections.abc import Callable
from typing import Final, NamedTuple

PREFIX: Final = "sk_"
"""Log redaction recognises secrets by this prefix."""

_ID_BYTES = 6
_SECRET_BYTES = 32
_FORM = re.compile(r"sk_([0-9a-f]{12})_([0-9a-f]{64})")


class ApiKey(NamedTuple):
    """A key as stored in the registry: its script and the digest of its secret. Revoked keys stay, for errors."""

    key_id: str
    script_id: str
    digest: bytes
    revoked: bool


class NewKey(NamedTuple):
    """A key that was just created; `text` is shown once and not stored."""

    key_id: str
    text: str
    digest: bytes


def make_key(random: Callable[[int], bytes]) -> NewKey:
    """Create a key with a secret of 256 random bits; `random` returns that many random bytes."""
    key_id, secret = random(_ID_BYTES).hex(), random(_SECRET_BYTES).hex()
    return NewKey(key_id, f"{PREFIX}{key_id}_{secret}", digest_of(secret))


def digest_of(secret: str) -> bytes:
    """Return the stored digest of a secret. With as many random bits, a slow hash would add no protection."""
    return hashlib.sha256(secret.encode()).digest()


def read_key(text: str) -> tuple[str, bytes] | None:
    """Return the key's id and its secret's digest; None if the text does not have the form of a key."""
    match = _FORM.fullmatch(text)
    return None if match is None else (match[1], digest_of(match[2]))
