"""A plain Faust agent, one event at a time or `take` with executemany, as in Faust's guide: MODE SERVERS DSN TOPIC."""

import os
import sys
import time
from typing import Any

import asyncpg
import faust

from bench.peers import contract

TAKE = 500
SEEN = 200_000
mode, servers, dsn, topic = sys.argv[1:5]
sys.argv[1:] = ["worker", "--loglevel", "warn"]

app = faust.App(
    f"peer-{mode}-{time.time_ns()}",
    broker=f"kafka://{servers}",
    store="memory://",
    consumer_auto_offset_reset="earliest",
    topic_disable_leader=True,
    web_enabled=False,
    datadir=os.environ["PEER_DIRECTORY"],
)
raw = app.topic(topic, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")


class Pool:
    """A pool that the agent opens in the worker's event loop."""

    opened: asyncpg.Pool | None = None

    @classmethod
    async def get(cls) -> asyncpg.Pool:
        if cls.opened is None:
            cls.opened = await contract.open_pool(dsn)
        return cls.opened


async def one_by_one(stream: Any) -> None:
    """Validate, check for duplicates in a bounded dict, insert."""
    pool = await Pool.get()
    seen: dict[tuple[Any, Any], None] = {}
    async for value in stream:
        row = contract.row(value)
        if row is None or (row[2], row[4]) in seen:
            continue
        await pool.execute(contract.INSERT, *row)
        seen[row[2], row[4]] = None
        if len(seen) > SEEN:
            del seen[next(iter(seen))]


async def in_batches(stream: Any) -> None:
    """Insert in batches; the primary key rejects duplicates."""
    pool = await Pool.get()
    async for values in stream.take(TAKE, within=0.5):
        await pool.executemany(contract.INSERT, contract.rows(values))


app.agent(raw)(one_by_one if mode == "agent" else in_batches)

if __name__ == "__main__":
    app.main()
