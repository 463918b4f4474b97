"""Publishes the load to the raw topic, from which every contestant reads it."""

import asyncio
from collections.abc import Iterable

from bench.rig.mixed import Record
from schemas.config.settings import Settings
from sinks.kafka.producer import make_producer

AT_ONCE = 20_000


async def publish(settings: Settings, records: Iterable[Record]) -> list[bytes]:
    """Publish the records, wait until all are acknowledged, and return the keys of the events that become rows."""
    pending: list[asyncio.Future[object]] = []
    keys: dict[bytes, None] = {}
    async with make_producer(settings, enable_idempotence=True, linger_ms=50) as producer:
        for key, value, headers in records:
            if value.endswith(b"}"):
                keys[key] = None
            pending.append(await producer.send(settings.topics.raw, value, key=key, headers=list(headers)))
            if len(pending) >= AT_ONCE:
                await asyncio.gather(*pending)
                pending.clear()
        await asyncio.gather(*pending)
    return list(keys)
