"""`python -m tools.faults.producers`: checks every 202 while the broker is killed twice and the gateway once.

Half of the events are posted directly, with new ids after each refusal; the other half is sent by the Python client
with its spool. Exit code: 0 if all held, 1 if a promise was broken, 2 for a wrong argument, 3 if nothing is proven.
"""

import argparse
import asyncio
import json
import logging
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from support.events.settled import environment_of
from support.infrastructure.servers import stack_directory
from support.processes.command import start
from support.processes.gateway import bearer, raw_records
from support.processes.restarts import RestartedGateway
from support.wait import wait_until

from bridge.client import BridgeClient, NotDelivered, Options
from schemas.config.settings import Settings
from schemas.errors import BridgeError
from sinks.postgres.connection import connection
from sinks.postgres.tokens.script_tokens import create_token
from tools.faults.servers import Servers, prepared_servers

PATH = "/api/bridge/s1/events"
BATCH = 100
POSTERS = 6
AWAY_SECONDS = 3.0
AHEAD = 2000
DRAIN_SECONDS = 300.0
ACCEPTED = 202
UNLIMITED = {
    "gateway_script_events_per_second": 0,
    "gateway_org_events_per_second": 0,
    "gateway_address_events_per_second": 0,
    "gateway_visitors_events_per_second": 0,
    "gateway_script_bytes_per_second": 0,
    "gateway_address_requests_per_second": 0,
    "gateway_address_bytes_per_second": 0,
}
PAGE = {"url": "https://shop.example.com/checkout?utm_source=mail", "properties": {"pad": "x" * 200}}


def event(event_id: str) -> dict[str, object]:
    """Make a valid event."""
    return {"event_id": event_id, "event_type": "click", "occurred_at": time.time_ns() // 1_000_000, **PAGE}


class Poster:
    """Posts batches until so many events are accepted; it doesn't repeat refused ones, but continues with other ids."""

    def __init__(self, url: str, key: str, name: str, events: int) -> None:
        self._url = url
        self._key = key
        self._name = name
        self._events = events
        self.accepted: set[str] = set()
        self.refused: Counter[int] = Counter()
        self.slowest = 0.0
        self.unanswered = 0

    async def run(self) -> None:
        number = 0
        async with httpx.AsyncClient(base_url=self._url, timeout=30, headers=bearer(self._key)) as client:
            while len(self.accepted) < self._events:
                ids = [f"{self._name}-{number}-{index}" for index in range(BATCH)]
                number += 1
                began = time.monotonic()
                try:
                    answer = await client.post(PATH, content=json.dumps([event(one) for one in ids]).encode())
                except httpx.HTTPError:
                    self.unanswered += 1
                    await asyncio.sleep(0.1)
                    continue
                if answer.status_code == ACCEPTED:
                    self.accepted.update(ids)
                else:
                    self.refused[answer.status_code] += 1
                    self.slowest = max(self.slowest, time.monotonic() - began)
                    await asyncio.sleep(0.1)


class Producing:
    """One run; `problems` are broken promises, `invalid` the reasons why the run proves nothing."""

    def __init__(self, servers: Servers, settings: Settings, key: str, directory: Path, events: int) -> None:
        self._servers = servers
        self._settings = settings
        self._key = key
        self._directory = directory
        self._events = events // 2
        self._gateway = RestartedGateway(settings, directory, **UNLIMITED)
        share = -(-self._events // POSTERS)
        self._posters = [Poster(self._gateway.url, key, f"p{number}", share) for number in range(POSTERS)]
        self._taken: list[str] = []
        self.problems: list[str] = []
        self.invalid: list[str] = []
        self.figures: dict[str, float] = {}

    async def carry_out(self, seconds: float, say: Callable[[str], None]) -> None:
        """Send all events within so many seconds, inject the faults meanwhile, and judge."""
        await asyncio.to_thread(self._gateway.start)
        worker = start("worker", settings=environment_of(self._settings), quiet=True)
        try:
            # A worker that is still starting exits when Kafka stops.
            await self._reading(worker)
            began = time.monotonic()
            try:
                async with asyncio.timeout(seconds), asyncio.TaskGroup() as group:
                    for poster in self._posters:
                        group.create_task(poster.run())
                    group.create_task(self._send())
                    group.create_task(self._break(say))
            except TimeoutError:
                self.invalid.append(f"not all was sent within {seconds:g} s")
                return
            self.figures["sent within s"] = round(time.monotonic() - began, 1)
            say("all is sent; the worker drains")
            await self._judge(worker)
        finally:
            worker.terminate()
            await asyncio.to_thread(worker.wait, 60)
            await asyncio.to_thread(self._gateway.stop)

    @property
    def _accepted(self) -> int:
        return sum(len(poster.accepted) for poster in self._posters)

    @property
    def _unanswered(self) -> int:
        return sum(poster.unanswered for poster in self._posters)

    @property
    def _refusals(self) -> Counter[int]:
        return sum((poster.refused for poster in self._posters), Counter())

    async def _send(self) -> None:
        """Send by the client with its spool, at the posters' pace."""
        client = BridgeClient(self._gateway.url, "s1", self._key, Options(spool=self._directory / "spool"))
        while len(self._taken) < self._events:
            if len(self._taken) < self._accepted + AHEAD:
                self._taken.append(await client.send(event(f"c-{len(self._taken)}")))
            else:
                await asyncio.sleep(0.02)
        try:
            await client.close(DRAIN_SECONDS)
        except NotDelivered as left:
            self.problems.append(f"the client with its spool: {left}")

    async def _break(self, say: Callable[[str], None]) -> None:
        for share, strike in ((0.2, self._kill_broker), (0.45, self._kill_gateway), (0.7, self._kill_broker)):
            await self._until(lambda share=share: self._accepted >= share * self._events)
            say(f"{self._accepted} accepted: {strike.__name__.strip('_').replace('_', ' the ')}")
            await strike()

    async def _until(self, condition: Callable[[], bool]) -> None:
        """Wait for the condition, at most to the end of the run's time."""
        while not condition():  # noqa: ASYNC110 - counters that many tasks move
            await asyncio.sleep(0.01)

    async def _kill_broker(self) -> None:
        before = self._refusals.total()
        self._servers.signal("kafka", signal.SIGKILL)
        await self._servers.ended("kafka")
        await self._until(lambda: self._refusals.total() >= before + POSTERS)
        await asyncio.sleep(AWAY_SECONDS)
        await self._servers.start_kafka()

    async def _kill_gateway(self) -> None:
        before = self._unanswered
        await asyncio.to_thread(self._gateway.kill)
        await self._until(lambda: self._unanswered >= before + POSTERS)
        await asyncio.to_thread(self._gateway.start)

    async def _judge(self, worker: "subprocess.Popen[bytes]") -> None:
        """Compare the responses with the records in Kafka and the rows in Postgres."""
        accepted = set[str]().union(*(poster.accepted for poster in self._posters))
        taken = set(self._taken)
        records = await raw_records(self._settings, lambda record: json.loads(record.value)["event_id"])
        copies = Counter(records)
        self._found("accepted with 202, and not in Kafka", accepted - copies.keys())
        self._found("taken by the client, and not in Kafka", taken - copies.keys())
        rows = await self._settled(copies.total(), worker)
        self._found("in Kafka, and without a row", copies.keys() - rows.keys())
        self._found("with more than one row", {one for one, count in rows.items() if count > 1})
        self._found("with a row, and never sent", rows.keys() - copies.keys())
        left = [path.name for path in (self._directory / "spool").glob("*.events")]
        self._found("files left in the spool", set(left))
        unknown = {status for status in self._refusals if status != 503}
        self._found("statuses that no fault of a server's explains", {str(one) for one in unknown})
        self.figures |= {
            "posted, accepted": len(accepted),
            "taken by the client": len(taken),
            "records in Kafka": copies.total(),
            "rows": rows.total(),
            "refused, in Kafka all the same": len(copies.keys() - accepted - taken),
            "refused posts": self._refusals.total(),
            "posts without an answer": self._unanswered,
            "slowest refusal s": round(max(poster.slowest for poster in self._posters), 2),
            "gateway MiB": round(self._gateway.memory_mb()),
        }

    def _found(self, what: str, ids: set[str]) -> None:
        if ids:
            self.problems.append(f"{len(ids)} {what}, such as {sorted(ids)[:3]}")

    async def _reading(self, worker: "subprocess.Popen[bytes]") -> None:
        """Wait until the worker has partitions."""
        async with connection(self._settings.dsn, "test") as conn:

            async def taken() -> bool:
                assert worker.poll() is None, f"the worker ended with {worker.returncode}"
                return bool(await conn.fetchval("SELECT count(*) > 0 FROM stream_offset"))

            await wait_until(taken, budget_seconds=60, describe="a worker that reads")

    async def _settled(self, records: int, worker: "subprocess.Popen[bytes]") -> Counter[str]:
        """Count the rows by event, once the worker has committed so many records."""
        async with connection(self._settings.dsn, "test") as conn:

            async def all_settled() -> bool:
                assert worker.poll() is None, f"the worker ended with {worker.returncode}"
                query = "SELECT (SELECT count(*) FROM bridge_event) + (SELECT count(*) FROM bridge_event_raw)"
                return bool(await conn.fetchval(query) >= records)

            await wait_until(all_settled, budget_seconds=DRAIN_SECONDS, describe=f"{records} records settled")
            return Counter(row[0] for row in await conn.fetch("SELECT event_id FROM bridge_event"))


@asynccontextmanager
async def world(directory: Path) -> AsyncIterator[tuple[Servers, Settings, str]]:
    """Start servers that may be killed, and prepare schema, topics and an API key."""
    async with prepared_servers(directory, "producers.") as (servers, settings):
        yield servers, settings, (await create_token(settings.dsn, "s1")).text


async def produce(events: int, seconds: float, say: Callable[[str], None]) -> Producing:
    """Do one run on its own servers."""
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(stack_directory())
        servers, settings, key = await stack.enter_async_context(world(directory))
        run = Producing(servers, settings, key, directory, events)
        await run.carry_out(seconds, say)
        return run


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # this is what a command line is for


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="producers", description="Servers are killed; no accepted event is lost.")
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=600.0, help="how long sending may take")
    given: Any = parser.parse_args(words)
    for name in ("aiokafka", "bridge.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    began = time.monotonic()
    try:
        run = asyncio.run(produce(given.events, given.seconds, say))
    except (BridgeError, AssertionError) as error:
        say(f"error: {error}")
        return 3
    say(json.dumps(run.figures))
    for line in run.invalid:
        say(f"INVALID: {line}")
    for line in run.problems:
        say(f"BROKEN: {line}")
    green = not (run.invalid or run.problems)
    say(f"{'every promise held' if green else 'see above'} ({time.monotonic() - began:.0f} s)")
    return 1 if run.problems else 3 if run.invalid else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
