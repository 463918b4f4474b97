"""`python -m bench native`: processor time of an event from record to encoded row, by Python and by the native module."""

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

from aiokafka.structs import ConsumerRecord

from bench.rig import load, mixed, tables
from schemas.instants import now_ms
from schemas.pipeline.outcome import Candidate, Encoded, Normalized, Outcomes
from schemas.pipeline.record import Batch, RawRecord, TopicPartition
from schemas.pipeline.registry import Script
from sinks.postgres import binary_rows, copy_encoder
from streams.pipeline import native
from streams.pipeline.normalize import Bounds
from streams.pipeline.processor import CLAMP_FUTURE_MS, CLAMP_PAST_MS, GATEWAY_TRUST_MS, Context, processing
from streams.pipeline.trust import GatewayTrust
from streams.rules.retry_policy import RetryPolicy

TOPIC = "bench.raw"
AT_ONCE = 5000
_BOUNDS = Bounds(timedelta(days=7), timedelta(hours=1))


class Run(NamedTuple):
    """One run over the load: microseconds of this process an event, rows, and rows that were encoded natively."""

    cost_us: float
    rows: int
    natively: int


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench native", description=__doc__)
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=7)
    return parser.parse_args(words)


def registry() -> dict[str, Script]:
    """Return the scripts of the load."""
    names = {load.script_of(site): site for site in range(1, load.SITES + 1)}
    return {name: Script(name, site, 1, enabled=True) for name, site in names.items()}


def context() -> Context:
    """Return the context in which Python reads all events of the load."""
    trust = GatewayTrust(mixed.KEYS)
    return Context(now_ms(), registry(), frozenset(), {}, _BOUNDS, RetryPolicy((), {}, 0, 0.0), TOPIC, trust)


def with_native(given: Context) -> Context:
    """Return the context in which the native module reads ordinary events."""
    clamp = (CLAMP_PAST_MS, CLAMP_FUTURE_MS)
    made = native.reader(given.registry, given.trust.keys, given.bounds, clamp, GATEWAY_TRUST_MS)
    return replace(given, native=made)


def as_records(load_of: Iterator[tuple[bytes, bytes, mixed.Headers]]) -> list[RawRecord]:
    """Return the load as the consumer returns it."""
    return [
        ConsumerRecord(TOPIC, 0, offset, now_ms(), 0, key, value, None, len(key), len(value), headers)
        for offset, (key, value, headers) in enumerate(load_of)
    ]


def outcomes_of(records: Sequence[RawRecord], given: Context) -> Outcomes:
    """Process one batch."""
    source = TopicPartition(TOPIC, 0)
    outcomes = Outcomes(Batch(source, records[0].offset, records[-1].offset + 1, records))
    for _ in processing(outcomes, given, time.monotonic, 1.0):
        pass
    return outcomes


async def _write(candidates: Sequence[Candidate]) -> None:
    events = [one.event for one in candidates if isinstance(one, Normalized)]
    source = copy_encoder.parts(events) if len(events) == len(candidates) else binary_rows.parts(candidates)
    async for _ in source:
        pass


def run(records: Sequence[RawRecord], given: Context) -> Run:
    """Process and encode the load in batches."""
    rows = natively = 0
    began = time.process_time()
    for at in range(0, len(records), AT_ONCE):
        candidates = outcomes_of(records[at : at + AT_ONCE], given).candidates
        asyncio.run(_write(candidates))
        rows += len(candidates)
        natively += sum(type(one) is Encoded for one in candidates)
    return Run((time.process_time() - began) / len(records) * 1e6, rows, natively)


def _plain(count: int, seed: int) -> Iterator[tuple[bytes, bytes, mixed.Headers]]:
    for key, value in load.records(count, seed):
        yield key, value, ()


LOADS: dict[str, Callable[[int, int], Iterator[tuple[bytes, bytes, mixed.Headers]]]] = {
    "plain": _plain, "mixed, half with headers": mixed.records,
}  # fmt: skip


def _shown(runs: Sequence[Run]) -> str:
    costs = [one.cost_us for one in runs]
    return f"{statistics.median(costs):.2f} ({min(costs):.2f}-{max(costs):.2f})"


def main(words: list[str]) -> int:
    options = arguments(words)
    if not native.AVAILABLE:
        print("the native module is not installed")
        return 1
    rows = []
    for name, made in LOADS.items():
        records = as_records(made(options.events, options.seed))
        python, natively = context(), with_native(context())
        runs = [(run(records, python), run(records, natively)) for _ in range(options.rounds)]
        by_python, by_native = zip(*runs, strict=True)
        share = by_native[0].natively / by_native[0].rows
        rows.append((name, _shown(by_python), _shown(by_native), f"{share:.1%}"))
    tables.show("CPU of an event from record to row", ("load", "Python, us", "native, us", "natively"), rows)
    return 0
