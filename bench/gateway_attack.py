"""`python -m bench gateway_attack`: what one visitor's dearest bodies do to another script's server, and to the loop."""

import argparse
import asyncio
import json
import re
import statistics
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp

from bench.gateway import server
from bench.rig import stand
from bench.rig.dear_bodies import Body, dear_bodies
from bridge.dev.stack.stack import StackAddresses
from schemas.config.settings import Settings
from sinks.kafka.topics import apply_topics
from sinks.postgres.registry.admin import add_script
from sinks.postgres.schema.migrate import migrate
from sinks.postgres.tokens.script_tokens import create_token

BAR_P95_MS = 250
BAR_HELD_MS = 50
BAR_HEALTH_MS = 500
ORIGIN = "https://shop.example.com"
VISITED, OTHER = "shop", "other"
_OWN_EVERY, _HEALTH_EVERY = 0.05, 0.1
HELD = re.compile(r'bench_longest_hold_seconds\{by="(\w+)"\} (\S+)')


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench gateway_attack", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5, help="how long each body is sent")
    parser.add_argument("--rate", type=float, default=20, help="of each body, so many a second")
    parser.add_argument("--only", default="", help="bodies whose name holds this")
    parser.add_argument("--unlimited", action="store_true", help="without the limits of bytes and events")
    parser.add_argument("--kafka", help="this Kafka instead of one of the run's own")
    parser.add_argument("--database", help="and this empty database")
    return parser.parse_args(words)


class Attack:
    """One visitor of a script, a server of another one, and a health check of the gateway."""

    def __init__(self, session: aiohttp.ClientSession, url: str, key: str) -> None:
        self._session = session
        self._url = url
        self._key = {"authorization": f"Bearer {key}"}

    async def measured(self, body: Body | None, seconds: float, rate: float) -> dict[str, object]:
        """Return the measurements of one attack."""
        token = await self._token()
        await self._held()
        until = time.perf_counter() + seconds
        theirs, own, health = await asyncio.gather(
            self._attack(body, token, until, rate), self._serve(until), self._ask(until)
        )
        held = await self._held()
        statuses = Counter(status for status, _ in own)
        times = [took for _, took in own]
        return {
            "attack": {str(status): count for status, count in sorted(theirs.items())},
            "own": {str(status): count for status, count in sorted(statuses.items())},
            "own_p50_ms": statistics.median(times) * 1000,
            "own_p95_ms": statistics.quantiles(times, n=20, method="inclusive")[18] * 1000,
            "health_longest_ms": max(health) * 1000,
            "held_clock_ms": held["clock"] * 1000,
            "held_processor_ms": held["processor"] * 1000,
        }

    async def _attack(self, body: Body | None, token: str, until: float, rate: float) -> Counter[int]:
        sent: list[asyncio.Task[int]] = []
        while body is not None and time.perf_counter() < until:
            sent.append(asyncio.create_task(self._send(body, token)))
            await asyncio.sleep(1 / rate)
        return Counter(await asyncio.gather(*sent))

    async def _send(self, body: Body, token: str) -> int:
        headers = body.headers() | {"authorization": f"Bearer {token}", "origin": ORIGIN}
        try:
            async with self._session.post(self._url + body.path(VISITED), data=body.content, headers=headers) as answer:
                await answer.read()
                return answer.status
        except (aiohttp.ClientError, TimeoutError):
            return 0

    async def _serve(self, until: float) -> list[tuple[int, float]]:
        async def one() -> tuple[int, float]:
            began = time.perf_counter()
            event = {"event_type": "click", "occurred_at": time.time_ns() // 1_000_000}
            path = f"{self._url}/api/bridge/{OTHER}/events"
            async with self._session.post(path, data=json.dumps([event]), headers=self._key) as answer:
                await answer.read()
                return answer.status, time.perf_counter() - began

        sent = []
        while time.perf_counter() < until:
            sent.append(asyncio.create_task(one()))
            await asyncio.sleep(_OWN_EVERY)
        return await asyncio.gather(*sent)

    async def _ask(self, until: float) -> list[float]:
        times = []
        while time.perf_counter() < until:
            began = time.perf_counter()
            async with self._session.get(f"{self._url}/health") as answer:
                await answer.read()
            times.append(time.perf_counter() - began)
            await asyncio.sleep(_HEALTH_EVERY)
        return times

    async def _token(self) -> str:
        async with self._session.post(f"{self._url}/bridge/{VISITED}/token", headers={"origin": ORIGIN}) as answer:
            text: str = (await answer.json())["token"]
            return text

    async def _held(self) -> dict[str, float]:
        """Return the longest turn of the loop since the last call, in seconds."""
        async with self._session.get(f"{self._url}/metrics") as answer:
            return {what: float(value) for what, value in HELD.findall(await answer.text())}


async def prepared(settings: Settings) -> str:
    """Create topics, schema and both scripts; returns a key of the other one."""
    await migrate(settings.dsn)
    await apply_topics(settings)
    await add_script(settings.dsn, VISITED, 1, origins=[ORIGIN])
    await add_script(settings.dsn, OTHER, 2)
    return (await create_token(settings.dsn, OTHER)).text


async def measure(url: str, key: str, options: argparse.Namespace) -> dict[str, dict[str, object]]:
    bodies: dict[str, Body | None] = {"nothing": None}
    bodies |= {name: body for name, body in dear_bodies().items() if options.only in name}
    found = {}
    timeout = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0)) as session:
        attack = Attack(session, url, key)
        for name, body in bodies.items():
            found[name] = await attack.measured(body, options.seconds, options.rate)
            sys.stderr.write(f"{name}: {json.dumps(found[name])}\n")
            # The limits refill meanwhile, so that the next body starts with full buckets.
            await asyncio.sleep(4)
    return found


@contextmanager
def _addresses(options: argparse.Namespace) -> Iterator[StackAddresses]:
    if options.kafka:
        yield StackAddresses(kafka=options.kafka, database_url=options.database)
    else:
        with stand.servers() as addresses:
            yield addresses


def main(words: list[str]) -> int:
    options = arguments(words)
    limits = dict.fromkeys(
        (
            "script_events_per_second",
            "org_events_per_second",
            "address_events_per_second",
            "visitors_events_per_second",
            "script_bytes_per_second",
            "address_bytes_per_second",
            "validate_events_per_second",
        ),
        0,
    )
    more = {f"gateway_{name}": value for name, value in limits.items()} if options.unlimited else {}
    with _addresses(options) as addresses:
        key = asyncio.run(prepared(stand.settings_of(addresses)))
        environment = stand.environment_of(
            addresses, secret_key="0123456789abcdef0123456789abcdef", log_level="WARNING", **more
        )
        with server(["-m", "bench.rig.probed_gateway"], environment) as url:
            found = asyncio.run(measure(url, key, options))
    stand.keep("gateway_attack", {"bodies": found})
    bad = [name for name, one in found.items() if not _within(one)]
    print(f"{len(found) - 1} bodies, {options.rate:g} a second each; beyond the bar: {', '.join(bad) or 'none'}")
    return 1 if bad else 0


def _within(one: dict[str, object]) -> bool:
    bars = {"own_p95_ms": BAR_P95_MS, "held_processor_ms": BAR_HELD_MS, "health_longest_ms": BAR_HEALTH_MS}
    return list(one["own"]) == ["202"] and all(float(str(one[name])) < bar for name, bar in bars.items())  # type: ignore[call-overload]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
