"""UUIDv7 by RFC 9562: ids whose order is the order of time. Events and requests that have no id get one.

Under an Idempotency-Key events get ids that are derived from it (bridge/gateway/admission/event_ids.py).
"""

from collections.abc import Callable
from os import urandom


def uuid7s(count: int, epoch_ms: int, random_bytes: Callable[[int], bytes] = urandom) -> list[str]:
    """Return `count` new UUIDv7 ids for the time `epoch_ms`, in milliseconds since the epoch."""
    head = f"{epoch_ms:012x}"
    head = f"{head[:8]}-{head[8:]}-7"
    tail = random_bytes(10 * count).hex()
    return [
        f"{head}{one[:3]}-{'89ab'[int(one[3], 16) & 3]}{one[4:7]}-{one[7:19]}"
        for one in (tail[start : start + 20] for start in range(0, len(tail), 20))
    ]


def uuid7(epoch_ms: int, random_bytes: Callable[[int], bytes] = urandom) -> str:
    """Return one new UUIDv7 for the time `epoch_ms`, in milliseconds since the epoch."""
    return uuid7s(1, epoch_ms, random_bytes)[0]
