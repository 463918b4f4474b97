"""Seeded raw events: all in ASCII, of one browser and one form of address; `mixed.py` makes real traffic of them."""

import random
import time
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from schemas.instants import now_ms
from schemas.uuid7 import uuid7

SITES = 50
DUPLICATES = 0.05
EARLIER = 1 / 3
"""The share of the duplicates that repeat an event of an earlier month."""
INVALID = 0.01

Identity = tuple[int, str]
"""Site and id of an event."""

_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"
_TYPES = ("pageview", "page_view", "click", "form_submit", "purchase")


def script_of(site: int) -> str:
    return f"script-{site}"


def events(
    count: int, seed: int, start_ms: int, earlier: Sequence[Identity] = ()
) -> Iterator[tuple[bytes, dict[str, Any] | None]]:
    """Yield keys and fields of `count` raw events with UUIDv7 ids from `start_ms` on; None in place of a broken event.

    Some events are duplicates. Most of them follow their first copies soon, as retries do. If there are `earlier` events,
    a third are copies of one of those.
    """
    rng = random.Random(seed)
    recent: list[Identity] = []
    for index in range(count):
        if recent and rng.random() < DUPLICATES:
            late = earlier and rng.random() < EARLIER
            site, event_id = rng.choice(earlier if late else recent)
        else:
            site, event_id = rng.randint(1, SITES), uuid7(start_ms + index // 50, rng.randbytes)
            if len(recent) < 10_000:
                recent.append((site, event_id))
            else:
                recent[rng.randrange(10_000)] = (site, event_id)
        key = f"{site}:{event_id}".encode()
        yield key, None if rng.random() < INVALID else _event(site, event_id, index, rng)


def broken(key: bytes) -> bytes:
    """Return what is left of an event that was cut off."""
    return b'{"event_id": "' + key.partition(b":")[2]


def records(count: int, seed: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values of `count` raw events of about 600 bytes, some repeated, some invalid."""
    for key, event in events(count, seed, now_ms()):
        yield key, broken(key) if event is None else msgspec.json.encode(event)


def _event(site: int, event_id: str, index: int, rng: random.Random) -> dict[str, Any]:
    kind = _TYPES[index % len(_TYPES)]
    # The time at which the record is made. An event that is sent long before it is received has its time corrected.
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    event: dict[str, Any] = {
        "event_id": event_id,
        "site_id": site,
        "script_id": script_of(site),
        "event_type": kind,
        "occurred_at": f"{moment}.{index % 1000:03d}Z",
        "sent_at": f"{moment}.{index % 1000:03d}Z",
        "session_id": f"{rng.getrandbits(80):020x}",
        "visitor_id": f"{rng.getrandbits(64):016x}",
        "url": f"https://shop{site}.example.com/p/{index % 5000}?utm_source=search&utm_medium=cpc&id={index}#top",
        "referrer": f"https://www.search{index % 40}.example/q?x={index}",
        "user_agent": _AGENT,
        "properties": {"index": index, "label": "a label", "variants": [1, 2, 3]},
    }
    if kind == "purchase":
        event |= {"value": round(rng.random() * 100, 2), "currency": "eur"}
    return event
