"""Event ids that follow from a request: under one Idempotency-Key, the same request always gets the same ids."""

import hashlib
import hmac
from typing import Final

from schemas.config.derived_keys import Purpose, derived_key
from schemas.pipeline.sender import Sender

_DIGITS: Final = 32


class EventIds:
    """Derives the ids of a request's events from the request and its Idempotency-Key.

    All processes with the same secret derive the same ids, so that none needs to keep them. Another sender class,
    script, origin, Idempotency-Key or body gives other ids.
    """

    def __init__(self, secret: str) -> None:
        self._key = derived_key(secret, Purpose.EVENT_ID)

    def derive(
        self, sender: Sender, script_id: str, origin: str | None, key: bytes, digest: bytes, count: int
    ) -> list[str]:
        """Return an id for each of a request's `count` events, by index. `digest` is the digest of all its events.

        The ids are UUIDv8 of RFC 9562, the version for ids whose bits a program determines. They contain no time,
        because processes do not know when another one first received the request.
        """
        # The fields contain no zero byte, and the digest has a constant length.
        request = b"\0".join([*(text.encode() for text in (sender.value, script_id, origin or "")), key, digest])
        digits = hashlib.shake_256(hmac.digest(self._key, request, "sha256")).hexdigest(_DIGITS // 2 * count)
        return [_uuid8(digits[start : start + _DIGITS]) for start in range(0, len(digits), _DIGITS)]


def _uuid8(digits: str) -> str:
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-8{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
