"""The loop of a careful Python programmer: getmany, pydantic, executemany, commit: SERVERS DSN TOPIC."""

import sys
import time

import uvloop
from aiokafka import AIOKafkaConsumer

from bench.peers import contract

BATCH = 5000


async def main(servers: str, dsn: str, topic: str) -> None:
    """Run until it is ended."""
    pool = await contract.open_pool(dsn)
    consumer = AIOKafkaConsumer(
        topic,
        bootstrap_servers=servers,
        group_id=f"peer-aiokafka-{time.time_ns()}",
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    async with consumer:
        while True:
            found = await consumer.getmany(timeout_ms=500, max_records=BATCH)
            values = [record.value for records in found.values() for record in records]
            if values:
                await pool.executemany(contract.INSERT, contract.rows(values))
                await consumer.commit()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:4]))
