"""The keys by which duplicate events are recognised, and a bounded in-memory set of keys that Postgres already has."""

from hashlib import blake2b

from schemas.pipeline.class_key import class_key
from schemas.pipeline.outcome import Claim
from schemas.pipeline.registry import Registry
from schemas.pipeline.sender import Sender

_UUID_LENGTH = 36
_TIME_BYTES = 6
# Copying a hash object takes less time than creating one.
_WHOLE_DIGEST = blake2b(digest_size=16)
_SHORT_DIGEST = blake2b(digest_size=10)


def event_key(site_id: int, event_id: str) -> bytes:
    """Return the 16-byte key of (site_id, event_id) in the table that detects duplicates.

    For a UUIDv7 the key begins with the UUID's 48 bits of time, so that new keys are inserted at the right edge of the
    table's index. The other 80 bits are a digest, which distinguishes the ids of one millisecond. For other ids all 128
    bits are a digest.
    """
    text = f"{site_id}:{event_id}".encode()
    if len(event_id) == _UUID_LENGTH and event_id[14] == "7":
        try:
            time = bytes.fromhex(event_id[:8] + event_id[9:13])
        except ValueError:
            time = b""
        if len(time) == _TIME_BYTES:  # bytes.fromhex ignores spaces
            digest = _SHORT_DIGEST.copy()
            digest.update(text)
            return time + digest.digest()
    digest = _WHOLE_DIGEST.copy()
    digest.update(text)
    return digest.digest()


def claim_of(
    site_id: int | None, event_id: str | None, script_id: str | None, sender: Sender | None, registry: Registry
) -> Claim | None:
    """Return the key, and the rule for shared ids, by which the key table (of persisted events) recognises the event.

    Returns None if the event's site, id or sender class is not known.
    """
    if site_id is None or event_id is None or sender is None:
        return None
    script = None if script_id is None else registry.get(script_id)
    shared = script is not None and script.shared_ids
    return Claim(class_key(event_key(site_id, event_id), sender), site_id, event_id, sender, shared)


class DedupHints:
    """A bounded in-memory set of event keys that the key table in Postgres certainly contains.

    The keys are kept in two generations, each of at most half the bound. Keys are added only after a commit. The set is
    discarded when its lane (the task that commits some partitions) ends at a rebalance, and after a refused commit or a
    lost connection. A key that is missing here costs one look-up in Postgres. A key that is here but not in Postgres
    would lose an event.
    """

    def __init__(self, bound: int) -> None:
        self._half = max(1, bound // 2)
        self._bound = bound
        self._young: set[bytes] = set()
        self._old: set[bytes] = set()

    def __contains__(self, key: object) -> bool:
        return key in self._young or key in self._old

    def among(self, keys: list[bytes]) -> set[bytes]:
        """Return those of the keys that the set contains."""
        return self._young.intersection(keys) | self._old.intersection(keys)

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def add(self, keys: list[bytes]) -> None:
        """Add the keys of a committed transaction.

        When the newer of the two generations is full, the older one is discarded.
        """
        if not self._bound:
            return
        self._young.update(keys)
        if len(self._young) >= self._half:
            self._old, self._young = self._young, set()

    def clear(self) -> None:
        """Remove all keys."""
        self._young.clear()
        self._old.clear()
