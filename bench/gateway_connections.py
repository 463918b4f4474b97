"""`python -m bench gateway_connections`: what a flood of new connections does to another script's server."""

import argparse
import asyncio
import contextlib
import gzip
import json
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from urllib.parse import urlsplit

import aiohttp

from bench.gateway import server
from bench.gateway_attack import BAR_HEALTH_MS, BAR_HELD_MS, BAR_P95_MS, HELD, ORIGIN, OTHER, VISITED, prepared
from bench.rig import stand
from bench.rig.connection_flood import KINDS

_EVERY_SECONDS = 0.05
BUSY = "busy"
"""A flood of connections that are reset, while visitors send bodies that are dear to refuse."""
_DEAR_EVERY_SECONDS = 0.01
_DEAR_BODY = gzip.compress(b"[" + b'{"a' * 21_000)
_HALVES_SECONDS = 2.0
_SLOW_EVERY_SECONDS = 0.5


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench gateway_connections", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="how long each kind of flood lasts")
    parser.add_argument("--rate", type=float, default=7000, help="new connections a second")
    parser.add_argument("--addresses", type=int, default=16, help="from so many addresses")
    parser.add_argument("--only", default="", help="kinds whose name holds this")
    return parser.parse_args(words)


Answering = AbstractAsyncContextManager[aiohttp.ClientResponse]
Ask = Callable[[aiohttp.ClientSession], Answering]


class Victim:
    """A server of another script, on kept and on new connections, and a health check."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._key = {"authorization": f"Bearer {key}"}

    async def measured(self, kind: str | None, options: argparse.Namespace) -> dict[str, object]:
        """Return the measurements during one kind of flood, or during none."""
        timeout = aiohttp.ClientTimeout(total=30)
        kept = aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60))
        new = aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=0, force_close=True))
        async with kept, new:
            await self._held(kept)
            flood = asyncio.create_task(self._flood(kind, options))
            until = time.perf_counter() + options.seconds
            posts, fresh, health, slow, dear = await asyncio.gather(
                self._repeat(self._post, kept, until),
                self._repeat(self._post, new, until),
                self._repeat(self._health, new, until),
                self._repeat(self._post_in_halves, new, until, _SLOW_EVERY_SECONDS),
                self._visit(until) if kind == BUSY else asyncio.sleep(0),
            )
            return {"flood": await flood, "dear": dear, **(await self._held(kept))} | {
                f"{name}_{what}": value
                for name, found in {"kept": posts, "new": fresh, "health": health, "slow": slow}.items()
                for what, value in _figures(found).items()
            }

    async def _visit(self, until: float) -> dict[str, int]:
        """Send dear bodies as visitors from the flood's addresses; return the statuses of the answers."""
        sessions = [
            aiohttp.ClientSession(connector=aiohttp.TCPConnector(local_addr=(f"127.1.0.{number + 1}", 0)))
            for number in range(16)
        ]
        async with contextlib.AsyncExitStack() as opened:
            for session in sessions:
                await opened.enter_async_context(session)
            token = await self._token(sessions[0])
            headers = {"authorization": f"Bearer {token}", "origin": ORIGIN, "content-encoding": "gzip"}
            path = f"{self._url}/api/bridge/{VISITED}/events"

            def ask(session: aiohttp.ClientSession) -> Answering:
                return session.post(path, data=_DEAR_BODY, headers=headers)

            found = await asyncio.gather(
                *(self._repeat(ask, session, until, _DEAR_EVERY_SECONDS * len(sessions)) for session in sessions)
            )
        return dict(Counter(str(status) for one in found for status, _ in one))

    async def _token(self, session: aiohttp.ClientSession) -> str:
        async with session.post(f"{self._url}/bridge/{VISITED}/token", headers={"origin": ORIGIN}) as answer:
            return str((await answer.json())["token"])

    async def _flood(self, kind: str | None, options: argparse.Namespace) -> object:
        if kind is None:
            return None
        words = ["--rate", str(options.rate), "--addresses", str(options.addresses), "--seconds", str(options.seconds)]
        port = str(urlsplit(self._url).port)
        async with aiohttp.ClientSession() as session:
            words += ["--post", VISITED, ORIGIN, await self._token(session)]
        flood = "reset" if kind == BUSY else kind
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.rig.connection_flood", port, flood, *words, stdout=asyncio.subprocess.PIPE
        )
        printed, _ = await process.communicate()
        return json.loads(printed)

    async def _repeat(
        self, ask: Ask, session: aiohttp.ClientSession, until: float, every: float = _EVERY_SECONDS
    ) -> list[tuple[int, float]]:
        asked = []
        while time.perf_counter() < until:
            asked.append(asyncio.create_task(self._timed(ask, session)))
            await asyncio.sleep(every)
        return await asyncio.gather(*asked)

    async def _timed(self, ask: Ask, session: aiohttp.ClientSession) -> tuple[int, float]:
        began = time.perf_counter()
        try:
            async with ask(session) as answer:
                await answer.read()
                return answer.status, time.perf_counter() - began
        except (aiohttp.ClientError, TimeoutError):
            return 0, time.perf_counter() - began

    def _post(self, session: aiohttp.ClientSession) -> Answering:
        return session.post(f"{self._url}/api/bridge/{OTHER}/events", data=_event(), headers=self._key)

    def _post_in_halves(self, session: aiohttp.ClientSession) -> Answering:
        async def halves() -> AsyncIterator[bytes]:
            body = _event()
            yield body[:20]
            await asyncio.sleep(_HALVES_SECONDS)
            yield body[20:]

        return session.post(f"{self._url}/api/bridge/{OTHER}/events", data=halves(), headers=self._key)

    def _health(self, session: aiohttp.ClientSession) -> Answering:
        return session.get(f"{self._url}/health")

    async def _held(self, session: aiohttp.ClientSession) -> dict[str, float]:
        async with session.get(f"{self._url}/metrics") as answer:
            return {f"held_{what}_ms": float(value) * 1000 for what, value in HELD.findall(await answer.text())}


def _event() -> bytes:
    return json.dumps([{"event_type": "click", "occurred_at": time.time_ns() // 1_000_000}]).encode()


def _figures(found: list[tuple[int, float]]) -> dict[str, object]:
    times = [took * 1000 for _, took in found]
    return {
        "statuses": dict(Counter(str(status) for status, _ in found)),
        "p50_ms": round(statistics.median(times), 1),
        "p95_ms": round(statistics.quantiles(times, n=20, method="inclusive")[18], 1),
        "longest_ms": round(max(times), 1),
    }


async def measure(url: str, key: str, options: argparse.Namespace) -> dict[str, dict[str, object]]:
    victim, found = Victim(url, key), {}
    for kind in (None, *(kind for kind in (*KINDS, BUSY) if options.only in kind)):
        found[kind or "nothing"] = one = await victim.measured(kind, options)
        sys.stderr.write(f"{kind or 'nothing'}: {json.dumps(one)}\n")
        # The addresses' rate limits refill meanwhile.
        await asyncio.sleep(6)
    return found


def main(words: list[str]) -> int:
    options = arguments(words)
    with stand.servers() as addresses:
        key = asyncio.run(prepared(stand.settings_of(addresses)))
        environment = stand.environment_of(
            addresses, secret_key="0123456789abcdef0123456789abcdef", log_level="WARNING"
        )
        with server(["-m", "bench.rig.probed_gateway"], environment) as url:
            found = asyncio.run(measure(url, key, options))
    stand.keep("gateway_connections", {"floods": found})
    bad = [name for name, one in found.items() if not _within(one)]
    print(
        f"{options.rate:g} new connections a second from {options.addresses} addresses; beyond the bar: {', '.join(bad) or 'none'}"
    )
    return 1 if bad else 0


def _within(one: dict[str, object]) -> bool:
    bars = {
        "kept_p95_ms": BAR_P95_MS,
        "new_p95_ms": BAR_HEALTH_MS,
        "health_longest_ms": 2 * BAR_HEALTH_MS,
        "held_processor_ms": BAR_HELD_MS,
    }
    answered = all(one[f"{name}_statuses"].keys() == {"202"} for name in ("kept", "new", "slow"))  # type: ignore[attr-defined]
    return answered and all(float(str(one[name])) < bar for name, bar in bars.items())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
