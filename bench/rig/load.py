"""The load: one topic of seeded raw events that every contestant reads."""

import asyncio
import random
import time
from collections.abc import Iterator

import msgspec

from schemas.config.settings import Settings
from schemas.uuid7 import uuid7
from sinks.kafka.producer import make_producer

SITES = 50
DUPLICATES = 0.05
INVALID = 0.01

_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"
_TYPES = ("pageview", "page_view", "click", "form_submit", "purchase")


def script_of(site: int) -> str:
    return f"script-{site}"


def records(count: int, seed: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values of `count` raw events of about 600 bytes with UUIDv7 ids, some repeated, some invalid."""
    rng = random.Random(seed)
    recent: list[tuple[int, str]] = []
    start_ms = time.time_ns() // 1_000_000
    for index in range(count):
        if recent and rng.random() < DUPLICATES:
            site, event_id = recent[rng.randrange(len(recent))]
        else:
            site, event_id = rng.randint(1, SITES), uuid7(start_ms + index // 50, rng.randbytes)
            if len(recent) < 10_000:
                recent.append((site, event_id))
            else:
                recent[rng.randrange(10_000)] = (site, event_id)
        key = f"{site}:{event_id}".encode()
        if rng.random() < INVALID:
            yield key, b'{"event_id": "' + event_id.encode()
            continue
        yield key, msgspec.json.encode(_event(site, event_id, index, rng))


def _event(site: int, event_id: str, index: int, rng: random.Random) -> dict[str, object]:
    kind = _TYPES[index % len(_TYPES)]
    # The time at which the record is made. An event that is sent long before it is received has its time corrected.
    moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    event: dict[str, object] = {
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


async def publish(settings: Settings, count: int, seed: int) -> int:
    """Publish the load, wait until all of it is acknowledged, and return the number of rows that result from it."""
    producer = make_producer(settings, enable_idempotence=True, linger_ms=50)
    await producer.start()
    pending: list[asyncio.Future[object]] = []
    keys: set[bytes] = set()
    try:
        for key, value in records(count, seed):
            if value.endswith(b"}"):
                keys.add(key)
            pending.append(await producer.send(settings.topics.raw, value, key=key))
            if len(pending) >= 20_000:
                await asyncio.gather(*pending)
                pending.clear()
        await asyncio.gather(*pending)
    finally:
        await producer.stop()
    return len(keys)
