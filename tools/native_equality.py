"""Both paths write the same tables: events by a seed are committed by Python to one database, and natively to another.

    PYTHONPATH=tests:. python -m tools.native_equality --events 1000000 --seed 1

A third of the events are hostile, a third mutated, and a third as mixed as real traffic. All columns are compared but those
that have the time of the transaction. It ends with 1 and prints the first row that differs.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import count, islice
from random import Random
from typing import Final

import asyncpg
from support.events.hostile import SCRIPTS, body_of, record_of
from support.events.making import BRAKE_LIMITS, NOW_MS, RAW, SOURCE, context
from support.events.native import natively
from support.events.sealed import gateway_headers
from support.infrastructure.databases import create_database
from support.infrastructure.servers import embedded
from support.memory.source import MemoryRecord

from bench import native as bench_native
from bench.rig import load, mixed
from schemas.instants import now_ms
from schemas.native_module import ORDINARY
from schemas.pipeline.outcome import Failure, Outcomes
from schemas.pipeline.record import Batch
from sinks.postgres.breaker.state import release_breaker
from sinks.postgres.schema.migrate import migrate
from sinks.postgres.sink import PostgresSink
from streams.pipeline.dedup_key import DedupHints
from streams.pipeline.processor import Context, processing
from streams.rules.breaker import BreakerJudge
from streams.worker.committer import BatchCommitter
from tools.fuzz_native import mutated

AT_ONCE: Final = 2000
GROUP: Final = "equality"
# All columns but the times of transactions, by table.
TABLES: Final = {
    "bridge_event": ("normalized_at",),
    "bridge_event_raw": ("created_at", "updated_at", "outcome_at"),
    "bridge_event_key": (),
    "bridge_event_superseded": ("superseded_at",),
    "gate_window": (),
    "stream_offset": ("persisted_at", "updated_at"),
}
COLUMNS: Final = """
SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attname <> ALL($2)
"""


class Discarding:
    """A publisher that keeps nothing. Copies of failed events do not depend on the path."""

    async def publish(self, failures: Sequence[Failure]) -> None:
        for failure in failures:
            failure.published = failure.due_copy or failure.published


class Path:
    """One path with its database."""

    def __init__(self, url: str, given: Context) -> None:
        self.url = url
        self.read = 0
        self.natively = 0
        self._sink = PostgresSink(url, GROUP)
        self._known = DedupHints(50_000)
        self._context = replace(given, known=self._known)
        self._committer = BatchCommitter(self._sink, Discarding(), BreakerJudge(BRAKE_LIMITS, lambda: 0.0))

    async def prepare(self) -> None:
        """Migrate the database, and let it take events of all months."""
        await migrate(self.url)
        connection = await asyncpg.connect(self.url)
        await connection.execute("CREATE TABLE other_months PARTITION OF bridge_event DEFAULT")
        await connection.close()
        await release_breaker(self.url, GROUP, 24 * 3600, "hostile events fail")
        await self._sink.claim({SOURCE: 0})

    async def commit(self, records: Sequence[MemoryRecord]) -> None:
        """Process and commit one batch."""
        outcomes = Outcomes(Batch(SOURCE, records[0].offset, records[-1].offset + 1, records))
        for _ in processing(outcomes, replace(self._context, seen=set()), lambda: 0.0, 1.0):
            pass
        committed = await self._committer.settle([outcomes])
        self._known.add(committed.keys)
        self.read += outcomes.read.total()
        self.natively += outcomes.read[ORDINARY]

    async def close(self) -> None:
        """End the session."""
        await self._sink.close()


def records(random: Random, events: int) -> Iterator[MemoryRecord]:
    """Yield the records. Of the hostile events a few each have one id."""
    ordinary = mixed.records(events, random.randrange(10**6))
    for offset, (key, value, headers) in enumerate(ordinary):
        kind = offset % 3
        if kind == 0:
            hostile = record_of(random, offset, body_of(random).replace(b'"e-1"', b'"e-%d"' % (offset // 10)))
            # A broker's clock is sound. A producer's may have any time, which the worker limits.
            yield hostile if hostile.timestamp_type == 0 else replace(hostile, timestamp=NOW_MS)
            continue
        site = int(key.partition(b":")[0])
        if kind == 1:
            value = mutated(random, value, body_of(random))  # the event in another form
        stamp = gateway_headers(value, site_id=site, script_id=load.script_of(site)) if headers else ()
        yield MemoryRecord(RAW, 0, offset, value, key, now_ms(), 1, tuple(stamp))


async def _difference(first: str, second: str) -> str | None:
    """Return the first row of which one database has more copies than the other, as text; None if there is none."""
    async with AsyncExitStack() as stack:
        connections = [await asyncpg.connect(url) for url in (first, second)]
        for one in connections:
            stack.push_async_callback(one.close)
        for table, times in TABLES.items():
            columns = await connections[0].fetchval(COLUMNS, table, list(times))
            digest = (
                f"SELECT count(*), sum(hashtextextended(t::text, 0)::numeric) FROM (SELECT {columns} FROM {table}) t"
            )
            found = [await one.fetchrow(digest) for one in connections]
            sys.stdout.write(f"{table}: {found[0]['count']} rows\n")
            if found[0] != found[1]:
                rows = f"SELECT t::text FROM (SELECT {columns} FROM {table}) t ORDER BY 1"
                texts = [[row[0] for row in await one.fetch(rows)] for one in connections]
                differing = next(pair for pair in zip(*texts, strict=False) if pair[0] != pair[1])
                return f"{table}: by Python {differing[0]!r}, natively {differing[1]!r}"
    return None


async def compare(paths: Sequence[Path], made: Iterator[MemoryRecord]) -> str | None:
    """Commit the records on both paths; return the first difference of the tables."""
    for path in paths:
        await path.prepare()
    for number in count(1):
        batch = list(islice(made, AT_ONCE))
        if not batch:
            break
        for path in paths:
            await path.commit(batch)
        if number % 50 == 0:
            sys.stdout.write(f"{number * AT_ONCE} events\n")
            sys.stdout.flush()
    for path in paths:
        await path.close()
    return await _difference(*(path.url for path in paths))


def main(words: list[str]) -> int:
    """Compare the tables that both paths write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(words)
    given = context(registry=SCRIPTS | bench_native.registry())
    with embedded() as stack:
        urls = [create_database(stack, f"equality_{name}") for name in ("python", "native")]
        paths = [Path(url, one) for url, one in zip(urls, (given, natively(given)), strict=True)]
        difference = asyncio.run(compare(paths, records(Random(options.seed), options.events)))
    if difference is not None:
        sys.stderr.write(f"the tables differ (seed {options.seed}): {difference}\n")
        return 1
    share = paths[1].natively / paths[1].read
    sys.stdout.write(f"{options.events} events, {share:.1%} natively: no difference (seed {options.seed})\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
