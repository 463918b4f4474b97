"""Events of the month before, which are stored before every run, and some of which the load repeats.

Without them, all duplicates would be known from the worker's memory or from the newest page of the index of keys.
"""

from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import asyncpg

from bench.rig import load, mixed, product, stand
from bench.rig.publish import publish
from schemas.instants import now_ms
from sinks.kafka.topics import apply_topics

PREFIX = "earlier."
APART = 200_000
"""So many events at least are between an event and its copy in the load."""
_MONTH_MS = timedelta(days=31) // timedelta(milliseconds=1)
_KEEP = Path(__file__).with_suffix(".sql").read_text()
_PEER_COLUMNS = (
    "received_at, occurred_at, sent_at, site_id, script_id, event_id, event_type, session_id, visitor_id, url, referrer,"
    " user_agent, value, currency, properties"
)


class Earlier(NamedTuple):
    """What is stored of the month before: the number of rows, and the events among them that the load repeats."""

    rows: int
    repeated: list[load.Identity]


async def store(one: stand.Stand, events: int, seed: int) -> Earlier:
    """Let the product process so many events of the month before, and keep its rows."""
    dsn = one.addresses.database_url
    settings = stand.settings_of(one.addresses, PREFIX)
    await apply_topics(settings)
    keys = await publish(settings, mixed.records(events, seed, start_ms=now_ms() - _MONTH_MS))
    await product.run(dsn, stand.environment_of(one.addresses, PREFIX), settings.topics.raw, events, one.servers)
    connection = await asyncpg.connect(dsn)
    await connection.execute(_KEEP)
    rows = await connection.fetchval("SELECT count(*) FROM earlier.event")
    await connection.close()
    if rows != len(keys):
        raise RuntimeError(f"the product has stored {rows} of {len(keys)} events")
    # What follows the repeated ones keeps them apart from the load; a short load has no room for so many.
    distant = keys[: max(len(keys) - APART, len(keys) // 5)]
    return Earlier(rows, [_identity(key) for key in distant])


def _identity(key: bytes) -> load.Identity:
    site, _, event_id = key.decode().partition(":")
    return int(site), event_id


async def fill_product(dsn: str) -> None:
    """Add the kept rows and keys to the product's tables."""
    await _fill(
        dsn,
        "INSERT INTO bridge_event TABLE earlier.event",
        "INSERT INTO bridge_event_key TABLE earlier.event_key",
        "VACUUM (ANALYZE) bridge_event, bridge_event_key",
    )


async def fill_peer(dsn: str) -> None:
    """Add the kept rows to the peers' table."""
    await _fill(
        dsn,
        f"INSERT INTO peer_event ({_PEER_COLUMNS}) SELECT {_PEER_COLUMNS} FROM earlier.event",
        "VACUUM (ANALYZE) peer_event",
    )


async def _fill(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    for statement in (*statements, "CHECKPOINT"):
        await connection.execute(statement)
    await connection.close()
