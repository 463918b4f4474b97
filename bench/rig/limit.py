"""The limits: how fast events reach a table without a key or an index, without any guarantee.

`python` decodes with msgspec and copies ten columns as tuples, which is the most that Python does. `native` lets the
product's compiled reader encode all columns, and copies them in binary form. With two connections, each writes the records
of half the partitions, both in one process.
"""

import argparse
import asyncio
import math
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import asyncpg
import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from bench.native import context, with_native
from bench.rig.usage import Parties, Servers, Usage
from schemas.events.bridge_event import BridgeEvent
from schemas.events.raw_event import RawFields
from schemas.pipeline import record as ours
from schemas.pipeline.outcome import Normalized, Outcomes
from sinks.postgres import binary_rows
from streams.pipeline.native import BYTES_AT_ONCE, SECONDS_AT_ONCE
from streams.pipeline.processor import processing

COLUMNS = ("event_id", "site_id", "script_id", "event_type", "occurred_at", "url", "referrer", "session_id",
           "user_agent", "payload")  # fmt: skip
TABLE = """
CREATE TABLE unsafe_limit (event_id text, site_id bigint, script_id text, event_type text,
occurred_at timestamptz, url text, referrer text, session_id text, user_agent text, payload jsonb)
"""
# The columns of the product's table, without its indexes.
WHOLE_TABLE = "CREATE TABLE unsafe_limit (LIKE bridge_event INCLUDING DEFAULTS)"
# Of the binary form of COPY: the signature, flags and no extension, and the end.
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"


class _Fields(RawFields, forbid_unknown_fields=False):
    """The fields of an event, of which the limit leaves out what it has no column for."""


_decode = msgspec.json.Decoder(_Fields).decode

Found = Mapping[TopicPartition, Sequence[ConsumerRecord]]
Write = Callable[[asyncpg.Connection, Found], Awaitable[None]]


async def write_tuples(connection: asyncpg.Connection, found: Found) -> None:
    """Decode the records by Python, and copy some columns."""
    rows = []
    for record in (one for records in found.values() for one in records):
        try:
            event = _decode(record.value)
        except msgspec.MsgspecError:
            continue
        rows.append(
            (event.event_id, event.site_id, event.script_id, event.event_type, event.occurred_at, event.url,
             event.referrer, event.session_id, event.user_agent, str(event.properties, "utf-8"))
        )  # fmt: skip
    await connection.copy_records_to_table("unsafe_limit", records=rows, columns=COLUMNS)


def native_writer() -> Write:
    """Return the writer that encodes natively; the few records that the module leaves are read by Python."""
    python = context()
    reader = with_native(python).native
    if reader is None:
        raise RuntimeError("the native module is not installed")

    def encoded(source: ours.TopicPartition, records: Sequence[ConsumerRecord]) -> Iterator[bytes]:
        at = 0
        left = []
        while at < len(records):
            rows = reader.read(source, records, at, python.now_ms, BYTES_AT_ONCE, SECONDS_AT_ONCE)
            yield rows.slice(0, len(rows))
            left += [records[index] for index, _ in rows.left]
            at = rows.end
        rest = Outcomes(ours.Batch(source, 0, 0, left))
        for _ in processing(rest, python, time.monotonic, math.inf):
            pass
        yield from (binary_rows.row(one.event) for one in rest.candidates if isinstance(one, Normalized))

    async def write(connection: asyncpg.Connection, found: Found) -> None:
        async def body() -> AsyncIterator[bytes]:
            yield _HEADER
            for partition, records in found.items():
                for part in encoded(ours.TopicPartition(*partition), records):
                    yield part
            yield _TRAILER

        columns = BridgeEvent.__struct_fields__
        await connection.copy_to_table("unsafe_limit", source=body(), columns=columns, **binary_rows.OPTIONS)

    return write


WAYS: Mapping[str, tuple[str, Callable[[], Write]]] = {
    "python": (TABLE, lambda: write_tuples),
    "native": (WHOLE_TABLE, native_writer),
}


@dataclass
class Count:
    """Counts shared by the connections."""

    wanted: int
    parties: Parties
    seen: int = 0
    first: int = 0
    started: float = 0.0


async def pump(
    consumer: AIOKafkaConsumer, dsn: str, partitions: Sequence[TopicPartition], count: Count, write: Write
) -> None:
    connection = await asyncpg.connect(dsn)
    while count.seen < count.wanted:
        found = await consumer.getmany(*partitions, timeout_ms=500, max_records=5000)
        if found:
            await write(connection, found)
        count.seen += sum(map(len, found.values()))
        count.parties.look()
        if not count.started and count.seen:
            count.parties.begin()
            count.started, count.first = time.perf_counter(), count.seen
    await connection.close()


async def main(options: argparse.Namespace) -> None:
    """Read the topic once; prints events and seconds from the end of the first batch to the end of the last."""
    table, make = WAYS[options.way]
    connection = await asyncpg.connect(options.dsn)
    await connection.execute("DROP TABLE IF EXISTS unsafe_limit")
    await connection.execute(table)
    consumer = AIOKafkaConsumer(
        options.topic,
        bootstrap_servers=options.kafka,
        group_id=None,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
    )
    await consumer.start()
    partitions = sorted(consumer.assignment())
    count = Count(options.events, Parties([Usage()], Servers(options.kafka_pid, options.postgres_pid)))
    shares = [partitions[number :: options.connections] for number in range(options.connections)]
    await asyncio.gather(*(pump(consumer, options.dsn, share, count, make()) for share in shares))
    count.parties.end()
    seconds = time.perf_counter() - count.started
    await consumer.stop()
    await connection.execute("DROP TABLE unsafe_limit")
    await connection.close()
    found = {"events": count.seen - count.first, "seconds": seconds,
             "cpu_seconds": count.parties.cpu_seconds, "peak_mb": count.parties.peak_mb}  # fmt: skip
    print(msgspec.json.encode(found).decode())


def arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.rig.limit", description=__doc__)
    parser.add_argument("way", choices=WAYS)
    for name in ("kafka", "dsn", "topic"):
        parser.add_argument(name)
    for name in ("events", "connections", "kafka_pid", "postgres_pid"):
        parser.add_argument(name, type=int)
    return parser.parse_args(words)


if __name__ == "__main__":
    uvloop.run(main(arguments(sys.argv[1:])))
