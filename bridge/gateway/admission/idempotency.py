"""Idempotency-Key: the response of a batch is kept for a while, and a repeated request gets the same response.

A process that has not kept it derives the same event ids again (bridge/gateway/admission/event_ids.py).
"""

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass

from bridge.http.answer import Answer
from bridge.http.problems import Code, Problem

_FORM = re.compile(rb"[\x21-\x7e]{1,255}")
# The size of an entry in bytes, without its response.
_FRAME_BYTES = 600


def idempotency_key(headers: Mapping[bytes, bytes]) -> bytes | None:
    """Return the request's Idempotency-Key, None if it has none; raises Problem if the key is malformed."""
    key = headers.get(b"idempotency-key")
    if key is not None and not _FORM.fullmatch(key):
        raise Problem(Code.INVALID_HEADER, "Idempotency-Key must be 1 to 255 visible ASCII characters")
    return key


@dataclass(slots=True)
class Remembered:
    """What is kept of one Idempotency-Key: a digest of its request, and the response if any."""

    digest: bytes
    expires_at: float
    in_hand: bool = False
    answer: Answer | None = None
    size: int = _FRAME_BYTES
    forgotten: bool = False


class _Share:
    """The Idempotency-Keys of one sender, the oldest first."""

    def __init__(self) -> None:
        self.keys: OrderedDict[bytes, Remembered] = OrderedDict()
        self.size = 0

    def forget_oldest(self) -> int:
        """Remove this sender's oldest Idempotency-Key; returns the number of bytes that this frees."""
        _, gone = self.keys.popitem(last=False)
        self.size -= gone.size
        gone.forgotten = True
        return gone.size


class Idempotency:
    """The Idempotency-Keys that this process keeps, by sender, with the responses of their requests.

    Their memory is bounded. When it is full, the sender whose keys and responses use the most bytes loses its oldest
    key. So a sender that uses less than an equal share loses no key to another sender. `now` is a monotonic clock in
    seconds.
    """

    def __init__(self, ttl_seconds: float, now: Callable[[], float], most_bytes: int) -> None:
        self._ttl = ttl_seconds
        self._now = now
        self._most = most_bytes
        # Senders by the time of their newest keys, the oldest first.
        self._shares: OrderedDict[Hashable, _Share] = OrderedDict()
        self._bytes = 0

    def find(self, sender: Hashable, key: bytes, body: bytes, lengths: Iterable[int] = ()) -> Remembered:
        """Return what is kept of the sender's Idempotency-Key, or a new entry for it.

        Raises Problem if the key was sent with other events before, or if a request with the key is in flight. Such a
        second request is refused and does not wait, because its body would occupy memory meanwhile. `lengths` are the
        lengths of the body's events, in bytes: under another media type, the same body has other events.
        """
        now = self._now()
        self._forget_expired(now)
        share = self._shares.setdefault(sender, _Share())
        self._forget_expired_of(share, now)
        sent = hashlib.sha256(body)
        sent.update(repr(list(lengths)).encode())
        digest = sent.digest()
        found = share.keys.get(key)
        if found is None:
            found = share.keys[key] = Remembered(digest, now + self._ttl)
            self._shares.move_to_end(sender)
            self._grown(share, found.size)
        elif found.digest != digest:
            raise Problem(Code.IDEMPOTENCY_KEY_REUSED)
        elif found.in_hand:
            raise Problem(Code.IDEMPOTENCY_KEY_IN_FLIGHT)
        return found

    def keep(self, sender: Hashable, found: Remembered, answer: Answer) -> None:
        """Keep the response of a request that was accepted."""
        found.answer = answer
        found.size += len(answer.body)
        if not found.forgotten:
            self._grown(self._shares[sender], len(answer.body))

    def _grown(self, share: _Share, size: int) -> None:
        share.size += size
        self._bytes += size
        while self._bytes > self._most:
            self._bytes -= max(self._shares.values(), key=lambda one: one.size).forget_oldest()

    def _forget_expired(self, now: float) -> None:
        """Remove the senders of which all keys have expired."""
        while self._shares:
            share = next(iter(self._shares.values()))
            self._forget_expired_of(share, now)
            if share.keys:
                return
            self._shares.popitem(last=False)

    def _forget_expired_of(self, share: _Share, now: float) -> None:
        while share.keys and next(iter(share.keys.values())).expires_at <= now:
            self._bytes -= share.forget_oldest()
