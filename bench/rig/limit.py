"""The unsafe limit: getmany, msgspec decode, COPY into a table without an index, without any guarantee.

With two connections, each writes the records of half the partitions, both in one process.
"""

import asyncio
import sys
import time
from dataclasses import dataclass

import asyncpg
import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.rig.usage import Usage
from schemas.events.raw_event import RawFields

COLUMNS = ("event_id", "site_id", "script_id", "event_type", "occurred_at", "url", "referrer", "session_id",
           "user_agent", "payload")  # fmt: skip
TABLE = """
CREATE TABLE unsafe_limit (event_id text, site_id bigint, script_id text, event_type text,
occurred_at timestamptz, url text, referrer text, session_id text, user_agent text, payload jsonb)
"""


@dataclass
class Count:
    """Counts shared by the connections."""

    wanted: int
    usage: Usage
    seen: int = 0
    first: int = 0
    started: float = 0.0


async def pump(consumer: AIOKafkaConsumer, dsn: str, partitions: list[TopicPartition], count: Count) -> None:
    decode = msgspec.json.Decoder(RawFields).decode
    connection = await asyncpg.connect(dsn)
    while count.seen < count.wanted:
        found = await consumer.getmany(*partitions, timeout_ms=500, max_records=5000)
        rows = []
        seen = 0
        for records in found.values():
            seen += len(records)
            for record in records:
                try:
                    event = decode(record.value)
                except msgspec.MsgspecError:
                    continue
                rows.append(
                    (event.event_id, event.site_id, event.script_id, event.event_type, event.occurred_at, event.url,
                     event.referrer, event.session_id, event.user_agent, str(event.properties, "utf-8"))
                )  # fmt: skip
        if rows:
            await connection.copy_records_to_table("unsafe_limit", records=rows, columns=COLUMNS)
        count.seen += seen
        count.usage.look()
        if not count.started and count.seen:
            count.usage.begin()
            count.started, count.first = time.perf_counter(), count.seen
    await connection.close()


async def main(servers: str, dsn: str, topic: str, wanted: int, connections: int) -> None:
    """Read the topic once; prints events and seconds from the end of the first batch to the end of the last."""
    connection = await asyncpg.connect(dsn)
    await connection.execute("DROP TABLE IF EXISTS unsafe_limit")
    await connection.execute(TABLE)
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=servers, group_id=None, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    partitions = sorted(consumer.assignment())
    count = Count(wanted, Usage())
    await asyncio.gather(
        *(pump(consumer, dsn, partitions[number::connections], count) for number in range(connections))
    )
    count.usage.end()
    seconds = time.perf_counter() - count.started
    await consumer.stop()
    await connection.execute("DROP TABLE unsafe_limit")
    await connection.close()
    found = {"events": count.seen - count.first, "seconds": seconds,
             "cpu_seconds": count.usage.cpu_seconds, "peak_mb": count.usage.peak_mb}  # fmt: skip
    print(msgspec.json.encode(found).decode())


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5])))
