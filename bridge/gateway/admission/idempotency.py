"""Idempotency-Key: the answer that a batch got, kept for a while, for whoever asks again."""

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass

from bridge.http.answer import Answer
from bridge.http.problems import Code, Problem

_FORM = re.compile(rb"[\x21-\x7e]{1,255}")
_MOST_BYTES = 16 * 1024 * 1024
# What an entry takes besides its answer and its ids.
_FRAME_BYTES = 600


def idempotency_key(headers: Mapping[bytes, bytes]) -> bytes | None:
    """The request's key; raises Problem if it has no acceptable form."""
    key = headers.get(b"idempotency-key")
    if key is not None and not _FORM.fullmatch(key):
        raise Problem(Code.INVALID_HEADER, "Idempotency-Key must be 1 to 255 visible ASCII characters")
    return key


@dataclass(slots=True)
class Remembered:
    """One key: the body and events it came with, the ids that were assigned, and the answer once there is one."""

    digest: bytes
    expires_at: float
    in_hand: bool = False
    ids: list[str] | None = None
    answer: Answer | None = None
    size: int = _FRAME_BYTES
    forgotten: bool = False


class _Share:
    """One sender's keys, the oldest first."""

    def __init__(self) -> None:
        self.keys: OrderedDict[bytes, Remembered] = OrderedDict()
        self.size = 0

    def forget_oldest(self) -> int:
        """Forgets its oldest key; returns the bytes that are free now."""
        _, gone = self.keys.popitem(last=False)
        self.size -= gone.size
        gone.forgotten = True
        return gone.size


class Idempotency:
    """What this process remembers of keys, by sender, in bounded memory; `now` is a monotonic clock in seconds.

    Where all together are too much, the sender that takes most forgets its oldest: nobody's keys put out those of one
    that takes less than an equal share.
    """

    def __init__(self, ttl_seconds: float, now: Callable[[], float], most_bytes: int) -> None:
        self._ttl = ttl_seconds
        self._now = now
        self._most = most_bytes
        # Those first whose newest key is the oldest.
        self._shares: OrderedDict[Hashable, _Share] = OrderedDict()
        self._bytes = 0

    def find(self, sender: Hashable, key: bytes, body: bytes, lengths: Iterable[int] = ()) -> Remembered:
        """What is known of the key, or a new note of it; raises Problem if it came with other events, or is in hand.

        `lengths` are those of the body's events, in bytes: under another media type the same body holds others. A
        second request does not wait for the first: its body would wait in memory with it.
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

    def keep(self, sender: Hashable, found: Remembered, ids: list[str], answer: Answer | None) -> None:
        """Keeps the assigned ids, so that another try assigns the same, and the answer if it is one of success."""
        found.ids, found.answer = ids, answer
        before, found.size = found.size, _FRAME_BYTES + sum(map(len, ids)) + (0 if answer is None else len(answer.body))
        if not found.forgotten:
            self._grown(self._shares[sender], found.size - before)

    def _grown(self, share: _Share, size: int) -> None:
        share.size += size
        self._bytes += size
        while self._bytes > self._most:
            self._bytes -= max(self._shares.values(), key=lambda one: one.size).forget_oldest()

    def _forget_expired(self, now: float) -> None:
        """Forgets the senders that have no key any more."""
        while self._shares:
            share = next(iter(self._shares.values()))
            self._forget_expired_of(share, now)
            if share.keys:
                return
            self._shares.popitem(last=False)

    def _forget_expired_of(self, share: _Share, now: float) -> None:
        while share.keys and next(iter(share.keys.values())).expires_at <= now:
            self._bytes -= share.forget_oldest()
