"""`python -m bench gateway`: requests and events a second over HTTP, compared to a bare endpoint and bare producer."""

import argparse
import asyncio
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from bench.rig import http_load, stand
from bench.rig.load import records, script_of
from bridge.dev.stack.stack import StackAddresses
from schemas.config.settings import Settings
from sinks.kafka.producer import make_producer
from sinks.kafka.topics import apply_topics
from sinks.postgres.registry.admin import add_script
from sinks.postgres.schema.migrate import migrate
from sinks.postgres.tokens.script_tokens import create_token

BAR = 0.5
BAR_P99_MS = 50
BATCH = 100
SITE = 1


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench gateway", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3, help="how long each figure is measured")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--connections", type=int, default=256)
    return parser.parse_args(words)


def events(count: int) -> list[bytes]:
    """Return valid and invalid events of one script, in the proportions of the load."""
    rng = random.Random(3)
    found = [value for _, value in records(count * 2, 3) if value.endswith(b"}")][:count]
    rng.shuffle(found)
    mine = f'"site_id":{SITE},"script_id":"{script_of(SITE)}"'.encode()
    return [mine.join(_cut(value)) for value in found]


def _cut(value: bytes) -> tuple[bytes, bytes]:
    before, _, rest = value.partition(b'"site_id":')
    return before, rest[rest.index(b',"event_type"') :]


@contextmanager
def server(words: list[str], environment: dict[str, str]) -> Iterator[str]:
    """Start a server and yield the URL from its first line; it is ended with SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, *words], env=os.environ | environment, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().decode().split()[1]
        deadline = time.monotonic() + 30
        while True:
            try:
                httpx.get(url, timeout=1)
                break
            except httpx.HTTPError:
                if time.monotonic() > deadline:
                    raise
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


async def prepared(settings: Settings) -> str:
    """Create topics, schema and script; returns a key of the script."""
    await migrate(settings.dsn)
    await apply_topics(settings)
    await add_script(settings.dsn, script_of(SITE), SITE)
    return (await create_token(settings.dsn, script_of(SITE))).text


async def produce(settings: Settings, found: list[bytes], seconds: float) -> float:
    """Return the events a second of a producer that is fed as fast as it accepts them."""
    pairs = [(f"{SITE}:{json.loads(value)['event_id']}".encode(), value) for value in found[: BATCH * 10]]
    async with make_producer(settings, enable_idempotence=True) as producer:
        begun = time.perf_counter()
        sent: set[asyncio.Future[object]] = set()
        count = 0
        while time.perf_counter() - begun < seconds:
            for key, value in pairs:
                sent.add(await producer.send(settings.topics.raw, value, key=key))
            count += len(pairs)
            if len(sent) > 20_000:
                await asyncio.gather(*sent)
                sent.clear()
        await asyncio.gather(*sent)
        return count / (time.perf_counter() - begun)


def main(words: list[str]) -> int:
    options = arguments(words)
    found = events(5000)
    path = f"/api/bridge/{script_of(SITE)}/events"
    batches = [b"[" + b",".join(found[start : start + BATCH]) + b"]" for start in range(0, len(found), BATCH)]
    with stand.servers() as addresses:
        settings = stand.settings_of(addresses)
        key = asyncio.run(prepared(settings))
        environment = _environment(addresses)

        def load(url: str, bodies: list[bytes], rate: float = 0) -> http_load.Load:
            return http_load.run(url + path, key, bodies, options.connections, options.seconds, rate)

        rounds = []
        # Both run all the time and take turns: the machine's own speed changes within seconds.
        with (
            server(["-m", "bench.rig.bare_endpoint"], {}) as bare_url,
            server(["-m", "bridge", "gateway", "--port", "0"], environment) as url,
        ):
            for number in range(options.rounds):
                rounds.append(
                    {
                        "bare": load(bare_url, found).per_second,
                        "single": load(url, found).per_second,
                        "batches": load(url, batches).per_second * BATCH,
                        "producer": asyncio.run(produce(settings, found, options.seconds)),
                    }
                )
                told = json.dumps({name: round(one) for name, one in rounds[-1].items()})
                sys.stderr.write(f"round {number + 1}: {told}\n")
            rate = statistics.median(one["single"] for one in rounds) / 2
            load(url, found, rate)
            half = load(url, found, rate)
    result = {"rate": half.per_second} | half.milliseconds()
    ratios = {
        name: statistics.median(one[ours] / one[theirs] for one in rounds)
        for name, ours, theirs in (("single", "single", "bare"), ("batches", "batches", "producer"))
    }
    print(f"single posts: {ratios['single']:.2f} of a bare endpoint; batches: {ratios['batches']:.2f} of a bare producer; "
          f"at half load p99 {result['p99_ms']:.1f} ms")  # fmt: skip
    stand.keep("gateway", {"rounds": rounds, "half_load": result})
    return 0 if min(ratios.values()) >= BAR and result["p99_ms"] < BAR_P99_MS else 1


def _environment(addresses: StackAddresses) -> dict[str, str]:
    limits = {
        "gateway_script_events_per_second": 0, "gateway_org_events_per_second": 0, "gateway_script_bytes_per_second": 0,
        "gateway_address_events_per_second": 0, "gateway_visitors_events_per_second": 0,
        "gateway_address_requests_per_second": 0, "gateway_address_bytes_per_second": 0, "log_level": "WARNING",
    }  # fmt: skip
    return stand.environment_of(addresses, secret_key="0123456789abcdef0123456789abcdef", **limits)
