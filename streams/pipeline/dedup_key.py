"""Keys that tell duplicates, and the bounded memory of keys known to be persisted."""

from hashlib import blake2b

from schemas.pipeline.class_key import class_key
from schemas.pipeline.outcome import Claim
from schemas.pipeline.registry import Registry
from schemas.pipeline.sender import Sender

_UUID_LENGTH = 36
_TIME_BYTES = 6
# Copies of these cost less than making each anew.
_WHOLE_DIGEST = blake2b(digest_size=16)
_SHORT_DIGEST = blake2b(digest_size=10)


def event_key(site_id: int, event_id: str) -> bytes:
    """The 16-byte key of (site_id, event_id).

    A UUIDv7's 48 time bits come first and keep the key table's index warm at its right edge; 80 bits of digest
    tell apart what one millisecond holds. Other ids have 128 bits of digest.
    """
    text = f"{site_id}:{event_id}".encode()
    if len(event_id) == _UUID_LENGTH and event_id[14] == "7":
        try:
            time = bytes.fromhex(event_id[:8] + event_id[9:13])
        except ValueError:
            time = b""
        if len(time) == _TIME_BYTES:  # fromhex passes over spaces
            digest = _SHORT_DIGEST.copy()
            digest.update(text)
            return time + digest.digest()
    digest = _WHOLE_DIGEST.copy()
    digest.update(text)
    return digest.digest()


def claim_of(
    site_id: int | None, event_id: str | None, script_id: str | None, sender: Sender | None, registry: Registry
) -> Claim | None:
    """What an event of that identity claims; None where no site or id can be read, or the class of sender is not known."""
    if site_id is None or event_id is None or sender is None:
        return None
    script = None if script_id is None else registry.get(script_id)
    shared = script is not None and script.shared_ids
    return Claim(class_key(event_key(site_id, event_id), sender), site_id, event_id, sender, shared)


class DedupHints:
    """Keys that are persisted for certain, in two generations of half the bound each.

    Filled after a commit only, and thrown away with its lane: at a rebalance, a refusal or a lost connection.
    A key that is missing here costs a look-up; a key that is here must be in the key table.
    """

    def __init__(self, bound: int) -> None:
        self._half = max(1, bound // 2)
        self._bound = bound
        self._young: set[bytes] = set()
        self._old: set[bytes] = set()

    def __contains__(self, key: bytes) -> bool:
        return key in self._young or key in self._old

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def add(self, keys: list[bytes]) -> None:
        """Remembers keys of a committed transaction, oldest forgotten first."""
        if not self._bound:
            return
        self._young.update(keys)
        if len(self._young) >= self._half:
            self._old, self._young = self._young, set()

    def clear(self) -> None:
        """Forgets everything."""
        self._young.clear()
        self._old.clear()
