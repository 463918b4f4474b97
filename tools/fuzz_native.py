"""A fuzzer of the native module: mutated events, of which every one that it takes must have the row of the Python path.

    PYTHONPATH=tests:. python -m tools.fuzz_native --seconds 60 --seed 1

It ends with 1 and prints the record if the module panics, takes longer than a second for some hundred records, or makes another row.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from support.events.hostile import HOSTS, PIECES, SCRIPTS, SPLICES, records
from support.events.making import NOW_MS, SOURCE, context
from support.events.native import EVERYTHING, as_fetched, assert_equal, reader
from support.events.sealed import gateway_headers
from support.memory.source import MemoryRecord

from bench import native as bench_native
from bench.rig import load, mixed
from schemas.instants import now_ms
from schemas.native_module import LeftToPython
from schemas.pipeline.record import RawRecord

AT_ONCE = 500
CORPUS = 3000
SLOWEST_SECONDS = 1.0
_PIECES = [*SPLICES, *(piece.encode() for piece in (*PIECES, *HOSTS)), b"utm_term=", b"&utm_source=", b"https://"]


class Seed(NamedTuple):
    """An event before its mutation, the time of its record, and site and script for the gateway's headers."""

    value: bytes
    timestamp: int
    site_id: int = 1
    script_id: str = "shop"


def _corpus(random: Random) -> list[Seed]:
    hostile = [Seed(one.value, NOW_MS) for one in records(random, CORPUS) if one.value]
    made = mixed.records(CORPUS, random.randrange(10**6))
    sites = ((int(key.partition(b":")[0]), value) for key, value, _ in made)
    return hostile + [Seed(value, now_ms(), site, load.script_of(site)) for site, value in sites]


def mutated(random: Random, value: bytes, other: bytes) -> bytes:
    """Change the bytes in one to three places."""
    for _ in range(max(1, random.getrandbits(2))):
        at = int(random.random() * (len(value) + 1))
        kind = random.getrandbits(3)
        if kind < 3:
            piece = bytes((random.getrandbits(8),))
        elif kind < 6:
            piece = _PIECES[int(random.random() * len(_PIECES))]
        else:
            start = int(random.random() * len(other))
            piece = other[start : start + random.getrandbits(5)]
        value = value[:at] + piece + value[at + (random.getrandbits(2) if kind != 7 else random.getrandbits(6)) :]
    return value


def _record(random: Random, offset: int, corpus: Sequence[Seed]) -> RawRecord:
    count = len(corpus)
    seed, other = corpus[int(random.random() * count)], corpus[int(random.random() * count)]
    value = mutated(random, seed.value, other.value)
    stamped = not random.getrandbits(3)
    headers = gateway_headers(value, site_id=seed.site_id, script_id=seed.script_id) if stamped else ()
    return as_fetched(MemoryRecord("t.raw", 0, offset, value, b"k", seed.timestamp, 1, tuple(headers)))


def main(words: list[str]) -> int:
    """Fuzz for some seconds and print the numbers of inputs and of rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(words)
    random, given = Random(options.seed), context(registry=SCRIPTS | bench_native.registry())
    made, corpus = reader(given), _corpus(random)
    inputs = rows = 0
    ends = time.monotonic() + options.seconds
    while time.monotonic() < ends:
        batch_of = [_record(random, at, corpus) for at in range(AT_ONCE)]
        began = time.monotonic()
        found = made.read(SOURCE, batch_of, 0, NOW_MS, *EVERYTHING)
        panicked = [batch_of[index] for index, why in found.left if why == LeftToPython.PANIC]
        if panicked or time.monotonic() - began > SLOWEST_SECONDS:
            sys.stderr.write(f"a panic or a slow record: {panicked or batch_of}\n")
            return 1
        if taken := [batch_of[index] for index in found.indexes]:
            assert_equal(taken, made.read(SOURCE, taken, 0, NOW_MS, *EVERYTHING), given)
        inputs, rows = inputs + AT_ONCE, rows + len(taken)
    sys.stdout.write(f"{inputs} inputs, {rows} rows, no difference and no panic (seed {options.seed})\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
