"""The unsafe limit: getmany, msgspec decode, COPY into a table without an index, one connection, no guarantee at all."""

import sys
import time

import asyncpg
import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer

from schemas.raw_event import RawFields

COLUMNS = ("event_id", "site_id", "script_id", "event_type", "occurred_at", "url", "referrer", "session_id",
           "user_agent", "payload")  # fmt: skip
TABLE = """
CREATE TABLE unsafe_limit (event_id text, site_id bigint, script_id text, event_type text, occurred_at timestamptz,
url text, referrer text, session_id text, user_agent text, payload jsonb)
"""


async def main(servers: str, dsn: str, topic: str, count: int) -> None:
    """Reads the topic once; prints events and seconds from the end of the first batch to the end of the last."""
    decode = msgspec.json.Decoder(RawFields).decode
    connection = await asyncpg.connect(dsn)
    await connection.execute("DROP TABLE IF EXISTS unsafe_limit")
    await connection.execute(TABLE)
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=servers, group_id=None, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    seen = first = 0
    started = 0.0
    while seen < count:
        found = await consumer.getmany(timeout_ms=500, max_records=5000)
        rows = []
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
        if not started and seen:
            started, first = time.perf_counter(), seen
    seconds = time.perf_counter() - started
    await consumer.stop()
    await connection.execute("DROP TABLE unsafe_limit")
    await connection.close()
    print(msgspec.json.encode({"events": seen - first, "seconds": seconds}).decode())


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
