"""`python -m tools.faults.pauses`: measures how long commits pause during rolling restarts and faults of servers.

The faults: the primary stops responding, the database freezes, a broker dies.

Exit code: 0 if all bounds held, 1 if one did not, 2 for a wrong argument, 3 if nothing is proven.
"""

import argparse
import asyncio
import json
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from support.events.settled import environment_of, prepare, settings_for
from support.infrastructure.servers import stack_directory
from support.processes.api import api
from support.processes.command import bridge
from support.processes.gateway import gateway, raw_records
from support.processes.restarts import RestartedGateway
from support.wait import wait_until

from bridge.dev.stack.kafka import JavaTuning, KafkaNode
from schemas.config.settings import Settings
from schemas.errors import BridgeError
from sinks.postgres.schema.migrate import migrate
from sinks.postgres.tokens.script_tokens import create_token
from tools.faults.fleet import Fleet
from tools.faults.freshness import Freshness, SteadyLoad, all_settled, differences
from tools.faults.machines import BROKERS, Broker, Machines, Pair, make_cluster, ports
from tools.faults.producers import UNLIMITED, Poster

PARTITIONS = 6
WORST_SECONDS = 5.0
FAILOVER_SECONDS = 30.0
BROKER_SECONDS = 12.0
FROZEN_SECONDS = (40.0, 100.0)
"""One time below the longest time of an operation, one above."""
SEEN_SECONDS = 30.0
RESUMED_SECONDS = 15.0
REST_SECONDS = 5.0
SCENARIOS = ("rolling", "silent-primary", "frozen-database", "brokers")
STREAM = {"BRIDGE_LANES": "2", "BRIDGE_START_TIMEOUT": "15s", "BRIDGE_LOG_FORMAT": "json"}
SILENT_SECONDS = 3.4
DRAIN_SECONDS = 180.0
GIVEN_UP = "batch_abandoned_on_revoke"

Say = Callable[[str], None]


@dataclass
class Outcome:
    """The result of a scenario. `problems` are bounds that did not hold and promises that were broken."""

    problems: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    def at_most(self, what: str, seconds: float, bound: float) -> None:
        """Record a figure, and a problem if it is above its bound."""
        self.figures[what] = round(seconds, 2)
        if seconds > bound:
            self.problems.append(f"{what}: {seconds:.1f}, more than {bound:g}")


@dataclass(frozen=True)
class Stage:
    """The running servers, workers and load of a scenario."""

    machines: Machines
    settings: Settings
    environment: Mapping[str, str]
    fleet: Fleet
    load: SteadyLoad
    freshness: Freshness
    outcome: Outcome
    directory: Path
    say: Say


async def rolling(stage: Stage, times: int) -> None:
    """Replace the older of two workers by SIGTERM and an immediate start, so many times in a row."""
    since = time.monotonic()
    for number in range(times):
        eldest = stage.fleet.working[0]
        ending = asyncio.create_task(stage.fleet.terminate(eldest))
        young = stage.fleet.start()
        began = time.monotonic()
        if code := await ending:
            stage.outcome.problems.append(f"{eldest} got SIGTERM and ended with {code}")
        ended = time.monotonic() - began
        await wait_until(lambda name=young: name in stage.fleet.working, budget_seconds=60, describe="the new worker")
        stage.say(f"{number + 1}: {eldest} ended within {ended:.1f} s; {young} works")
    await asyncio.sleep(WORST_SECONDS)
    stage.outcome.figures |= stage.freshness.figures(since)
    worst = stage.outcome.figures["freshness worst s"]
    stage.outcome.at_most("freshness worst s", worst, WORST_SECONDS)
    if given_up := stage.fleet.logged(GIVEN_UP):
        stage.outcome.problems.append(f"{given_up} batches were given up")


async def silent_primary(stage: Stage, pair: Pair) -> None:
    """Stop the primary and all its sessions without closing a connection; promote the standby a moment later."""
    stage.machines.signal("primary", signal.SIGSTOP)
    silent = time.monotonic()
    await asyncio.sleep(SILENT_SECONDS)
    await pair.promote()
    promoted = time.monotonic()
    stage.say("the primary is silent, and the standby is promoted")
    while stage.freshness.pause_after(promoted) > FAILOVER_SECONDS and time.monotonic() < promoted + 90:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    stage.outcome.at_most("work resumes after promotion s", stage.freshness.pause_after(promoted), FAILOVER_SECONDS)
    command = await asyncio.to_thread(bridge, "db", "check", settings=stage.environment)
    if command.returncode:
        stage.outcome.problems.append(f"db check ended with {command.returncode}: {command.stderr.decode()[-300:]}")
    await asyncio.sleep(REST_SECONDS)
    stage.machines.signal("primary", signal.SIGKILL)
    stage.outcome.figures["silent for s"] = round(time.monotonic() - silent, 1)


async def _firsts(asked: Mapping[str, Callable[[], Awaitable[bool]]], budget: float) -> dict[str, float]:
    """Seconds until each condition first held; infinite if it did not within the budget."""
    since, found = time.monotonic(), dict.fromkeys(asked, float("inf"))
    while time.monotonic() < since + budget and float("inf") in found.values():
        for name in [name for name, seconds in found.items() if seconds == float("inf")]:
            if await asked[name]():
                found[name] = time.monotonic() - since
        await asyncio.sleep(0.2)
    return found


async def frozen_database(stage: Stage) -> None:
    """Stop all processes of Postgres with their connections open, for less and for more than an operation may take."""
    with ExitStack() as services:
        port = ports(1)[0]
        young = stage.fleet.start(environment={"BRIDGE_METRICS_PORT": str(port)})
        await wait_until(lambda: young in stage.fleet.working, budget_seconds=60, describe="the worker that is watched")
        places = {"worker": f"http://127.0.0.1:{port}"}
        for name, run in (("gateway", gateway), ("api", api)):
            places[name] = services.enter_context(run(stage.settings, stage.directory / f"{name}.log")).url
        async with httpx.AsyncClient(timeout=5) as client:
            for seconds in FROZEN_SECONDS:
                await asyncio.sleep(REST_SECONDS)
                await _freeze(stage, client, places, seconds)
        stage.outcome.figures["batches halved"] = halved = stage.fleet.logged("now at most")
        if halved:
            stage.outcome.problems.append(f"{halved} batches were halved, as if they had been too large")


async def _freeze(stage: Stage, client: httpx.AsyncClient, places: Mapping[str, str], seconds: float) -> None:
    def says(name: str, *codes: int) -> Callable[[], Awaitable[bool]]:
        async def asked() -> bool:
            answer = await client.get(f"{places[name]}/ready")
            return answer.status_code in codes and answer.json()["components"]["postgres"] == "error"

        return asked

    async def paused() -> float:
        text = (await client.get(f"{places['worker']}/metrics")).text
        series = 'bridge_paused_partitions{reason="outage"}'
        return sum(float(one.split()[1]) for one in text.splitlines() if one.startswith(series))

    async def one_is_paused() -> bool:
        return await paused() > 0

    async def all_are_paused() -> bool:
        return await paused() == (await client.get(f"{places['worker']}/ready")).json()["partitions"] > 0

    stage.machines.signal("primary", signal.SIGSTOP)
    frozen, during = time.monotonic(), f"of {seconds:g} s"
    # A gateway accepts events without Postgres.
    asked = {"P0's condition": one_is_paused, "all lanes paused": all_are_paused, "worker's /ready": says("worker", 503),
             "gateway's /ready": says("gateway", 200), "api's /ready": says("api", 503)}  # fmt: skip
    for what, after in (await _firsts(asked, SEEN_SECONDS + 5)).items():
        stage.outcome.at_most(f"{what} in a freeze {during} after s", after, SEEN_SECONDS)
    await asyncio.sleep(max(0.0, frozen + seconds - time.monotonic()))
    stage.machines.signal("primary", signal.SIGCONT)
    goes_on = time.monotonic()
    stage.say(f"the database was frozen for {seconds:g} s")
    while stage.freshness.pause_after(goes_on) > RESUMED_SECONDS and time.monotonic() < goes_on + 90:  # noqa: ASYNC110
        await asyncio.sleep(0.1)
    stage.outcome.at_most(
        f"work resumes after a freeze {during} s", stage.freshness.pause_after(goes_on), RESUMED_SECONDS
    )

    async def none_is_paused() -> bool:
        return await paused() == 0

    await wait_until(none_is_paused, budget_seconds=60, describe="no partition paused")


class BrokerByBroker:
    """Each of three brokers is killed for some time; commands run and workers start from the first second on."""

    COMMANDS = (("topics", "check"), ("audit", "--quick"), ("db", "check"), ("process", "--dry-run"))

    def __init__(self, stage: Stage, nodes: Sequence[Broker], seconds: float) -> None:
        self._stage = stage
        self._nodes = nodes
        self._seconds = seconds
        self._answers: list[int] = []

    async def run(self) -> None:
        key = (await create_token(self._stage.settings.dsn, "s1")).text
        # In development the gateway creates the topics that its settings declare.
        declared = {"topic_replication": BROKERS, "topic_min_insync": 2}
        gateway = RestartedGateway(self._stage.settings, self._stage.directory, **UNLIMITED, **declared)
        await asyncio.to_thread(gateway.start)
        poster = Poster(gateway.url, key, "p", 10**9)
        posting = asyncio.create_task(poster.run())
        try:
            for node in self._nodes:
                await self._without(node)
        finally:
            posting.cancel()
            await asyncio.gather(posting, return_exceptions=True)
            await asyncio.to_thread(gateway.stop)
        outcome = self._stage.outcome
        outcome.figures |= {
            "questions": len(self._answers),
            "questions that failed": sum(map(bool, self._answers)),
            "posts refused": poster.refused.total(),
            "accepted by 202": len(poster.accepted),
        }
        records = await raw_records(self._stage.settings, lambda record: json.loads(record.value)["event_id"])
        if lost := poster.accepted - set(records):
            outcome.problems.append(f"{len(lost)} events were answered 202 and are not in Kafka")

    async def _without(self, node: Broker) -> None:
        stage, name = self._stage, f"kafka-{node.number}"
        stage.machines.signal(name, signal.SIGKILL)
        await stage.machines.ended(name)
        killed = time.monotonic()
        stage.say(f"{name} is killed")
        young = stage.fleet.start()
        while time.monotonic() < killed + self._seconds:
            for words in self.COMMANDS:
                await self._ask(words, killed)
        await wait_until(lambda: young in stage.fleet.working, budget_seconds=30, describe="the new worker")
        if code := await stage.fleet.terminate(young):
            stage.outcome.problems.append(f"{young} ended with {code}")
        # A partition without a leader gets no records, so no age grows: measure the time to its next commit instead.
        worst = max((rest for moment, rest in stage.freshness.rests if moment > killed), default=0.0)
        stage.outcome.at_most(f"longest rest of a partition without {name} s", worst, BROKER_SECONDS)
        oldest = max((age for moment, age in stage.freshness.ages if moment > killed), default=0.0)
        stage.outcome.at_most(f"oldest unsettled event without {name} s", oldest, BROKER_SECONDS)
        await stage.machines.start(name, node)
        await asyncio.sleep(REST_SECONDS)

    async def _ask(self, words: tuple[str, ...], killed: float) -> None:
        moment = time.monotonic() - killed
        done = await asyncio.to_thread(bridge, *words, settings=self._stage.environment)
        self._answers.append(done.returncode)
        if done.returncode:
            told = (done.stdout + done.stderr).decode(errors="replace").strip()[:600]
            self._stage.outcome.problems.append(
                f"{' '.join(words)} after {moment:.1f} s ended with {done.returncode}: {told}"
            )


@asynccontextmanager
async def staged(
    machines: Machines, settings: Settings, directory: Path, rate: float, say: Say
) -> AsyncIterator[Stage]:
    """Two workers under a steady load; at the end all is committed, and each acknowledged event has one row."""
    await migrate(settings.dsn)
    await prepare(settings)
    environment = environment_of(
        settings,
        **STREAM,
        BRIDGE_TOPIC_REPLICATION=str(settings.topic_replication),
        BRIDGE_TOPIC_MIN_INSYNC=str(settings.topic_min_insync),
    )
    fleet = Fleet(environment, directory / "logs", size=2, say=say)
    load = SteadyLoad(settings, rate)
    freshness = Freshness(settings, load)
    stage = Stage(machines, settings, environment, fleet, load, freshness, Outcome(), directory, say)
    fleet.fill()
    tasks: list[asyncio.Task[None]] = []
    try:
        await wait_until(lambda: len(fleet.working) == 2, budget_seconds=60, describe="two workers")
        tasks = [asyncio.create_task(work) for work in (load.run(), freshness.watch(), fleet.keep())]
        await wait_until(lambda: len(freshness.progress) > 20, budget_seconds=60, describe="a stream that flows")
        yield stage
        load.stop()
        await tasks[0]
        try:
            await wait_until(lambda: all_settled(settings, load), budget_seconds=DRAIN_SECONDS, describe="all settled")
        except AssertionError as error:
            stage.outcome.problems.append(str(error))
        stage.outcome.figures["acknowledged"] = len(load.acknowledged)
        stage.outcome.problems += await differences(settings, load.acknowledged)
        stage.outcome.problems += [
            f"{one.name} ended by itself with {one.code}: {one.last_words}" for one in fleet.exits
        ]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        fleet.end()


def _settings(kafka: str, url: str, **more: object) -> Settings:
    return settings_for(kafka, url, "pauses.", topic_partitions=PARTITIONS, retry_delays=("1s", "2s"), **more)


async def one(scenario: str, given: argparse.Namespace, say: Say) -> Outcome:
    """Run one scenario on its own servers."""
    async with AsyncExitStack() as stack:
        directory = stack.enter_context(stack_directory())
        machines = Machines()
        stack.callback(machines.stop)
        if scenario == "brokers":
            cluster = make_cluster(directory)
            await cluster.start(machines)
            kafka, more = cluster.address, {"topic_replication": BROKERS, "topic_min_insync": 2}
        else:
            first, second = ports(2)
            node = KafkaNode(directory / "kafka", directory / "logs" / "kafka.log", first, second, JavaTuning())
            await machines.start("kafka", node)
            kafka, more = node.address, {}
        pair = Pair(machines, directory)
        await pair.start()
        url = pair.primary.url if scenario == "frozen-database" else pair.url
        settings = _settings(kafka, url, **more)
        stage = await stack.enter_async_context(staged(machines, settings, directory, given.rate, say))
        if scenario == "rolling":
            await rolling(stage, given.times)
        elif scenario == "silent-primary":
            await silent_primary(stage, pair)
        elif scenario == "frozen-database":
            await frozen_database(stage)
        else:
            await BrokerByBroker(stage, cluster.brokers, given.seconds).run()
        return stage.outcome


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # this is what a command line is for


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="pauses", description="How long work rests when something is replaced or dies."
    )
    parser.add_argument("--only", default=",".join(SCENARIOS), help="names of scenarios by commas")
    parser.add_argument("--rate", type=float, default=500.0, help="events a second")
    parser.add_argument("--times", type=int, default=10, help="workers to replace, one after another")
    parser.add_argument("--seconds", type=float, default=15.0, help="how long each broker is away")
    given = parser.parse_args(words)
    if unknown := [name for name in given.only.split(",") if name not in SCENARIOS]:
        say(f"error: no such scenario: {', '.join(unknown)}; there are: {', '.join(SCENARIOS)}")
        return 2
    for name in ("aiokafka", "bridge.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    worst = 0
    for name in given.only.split(","):
        began = time.monotonic()
        try:
            outcome = asyncio.run(one(name, given, say))
        except (BridgeError, AssertionError) as error:
            say(f"error: {name}: {error}")
            worst = 3
            continue
        say(json.dumps({"scenario": name, **outcome.figures}))
        for line in outcome.problems:
            say(f"BROKEN: {line}")
        say(f"{name}: {'see above' if outcome.problems else 'every bound held'} ({time.monotonic() - began:.0f} s)")
        worst = max(worst, 1 if outcome.problems else 0)
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
