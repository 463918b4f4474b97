"""One run: servers, workers, load and faults together, then the drain, then the judge."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
from aiokafka.errors import KafkaError
from support.wait import wait_until

from schemas.config.settings import Settings
from schemas.errors import BridgeError
from sinks.kafka.topics import apply_topics
from sinks.postgres.schema.migrate import migrate
from tools.faults.catalogue import CATALOGUE
from tools.faults.catalogue.base import Fault
from tools.faults.evidence import gather, uncommitted
from tools.faults.fleet import UNFIT, Fleet
from tools.faults.journal import Journal
from tools.faults.judge import judge
from tools.faults.load import Load, register_scripts
from tools.faults.plan import Act, Plan
from tools.faults.proxy import Proxy
from tools.faults.records import REFUSED_TYPE
from tools.faults.servers import Servers
from tools.faults.world import World

PARTITIONS = 6
MOST_LINES_A_MINUTE = 400
_MEND_TRIES = 5
STREAM = {
    "BRIDGE_TOPIC_PARTITIONS": str(PARTITIONS),
    "BRIDGE_RETRY_DELAYS": "1s,2s",
    "BRIDGE_MAX_RETRIES": "3",
    # Small batches, so that a fault interrupts many of them.
    "BRIDGE_BATCH_MAX_RECORDS": "500",
    "BRIDGE_LANES": "2",
    # The least that a broker allows: it removes a killed worker soon.
    "BRIDGE_SESSION_TIMEOUT": "6s",
    "BRIDGE_REVOKE_BUDGET": "4s",
    "BRIDGE_LOCK_TIMEOUT": "2s",
    "BRIDGE_REGISTRY_REFRESH": "1s",
    # Retries whose copy is lost have to be found within the drain.
    "BRIDGE_SWEEP_AFTER": "5s",
    "BRIDGE_SWEEP_INTERVAL": "2s",
}

Watch = Callable[[World], Awaitable[None]]


@dataclass
class Result:
    """The result of a run: the broken promises in `problems`, the reasons why it proves nothing in `invalid`."""

    plan: Plan
    problems: list[str] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    bites: dict[str, int] = field(default_factory=dict)
    unfit_exits: int = 0

    @property
    def green(self) -> bool:
        return not self.problems and not self.invalid


class Run:
    """The run of one plan, with its files in `directory`.

    `watch` runs beside the load until the last fault is over, `when_ended` once all workers have drained and ended.
    """

    def __init__(
        self,
        plan: Plan,
        directory: Path,
        *,
        events: int,
        workers: int = 3,
        drain_seconds: float = 240.0,
        say: Callable[[str], None] = print,
        watch: Watch | None = None,
        when_ended: Watch | None = None,
    ) -> None:
        self._plan = plan
        self._directory = directory
        self._events = events
        self._workers = workers
        self._drain_seconds = drain_seconds
        self._began = time.monotonic()
        self._say = say
        self._watch = watch
        self._when_ended = when_ended
        self._struck: list[Fault] = []
        self.result = Result(plan)

    def _tell(self, line: str) -> None:
        self._say(f"{time.monotonic() - self._began:7.1f} s  {line}")

    async def carry_out(self) -> Result:
        """Run the plan and return the result; raises only errors of the campaign itself."""
        async with self._world() as world:
            self._began = time.monotonic()
            await self._under_load(world)
            if await self._drained(world):
                if self._when_ended is not None:
                    await self._when_ended(world)
                for fault in self._struck:
                    await fault.after_drain()
                await self._judge(world)
            self._exits(world.fleet)
            if not self.result.green:
                world.load.journal.write(self._directory / "journal.ndjson")
        return self.result

    @asynccontextmanager
    async def _world(self) -> AsyncIterator[World]:
        servers = Servers(self._directory)
        kafka_link = Proxy(servers.kafka_proxy_port, servers.behind_proxy_port)
        postgres_link = Proxy(servers.postgres_proxy_port, servers.postgres_port)
        logs = self._directory / "logs"
        proxied = {
            "BRIDGE_METRICS_PORT": "0",
            "BRIDGE_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{servers.kafka_proxy_port}",
            "BRIDGE_DATABASE_URL": servers.database_url.replace(
                f":{servers.postgres_port}/", f":{servers.postgres_proxy_port}/"
            ),
        }
        for name in {act.fault for act in self._plan.acts}:
            proxied |= CATALOGUE[name].environment(self._directory)
        fleet = Fleet(STREAM | proxied, logs, size=self._workers, say=self._tell)
        afterwards: list[Callable[[], object]] = []
        try:
            await servers.start()
            await asyncio.gather(kafka_link.start(), postgres_link.start())
            settings = _settings(servers)
            await _prepare(settings)
            journal = Journal(self._plan.seed, partitions=PARTITIONS, began_ms=time.time_ns() // 1_000_000)
            load = Load(settings, journal, events=self._events, seconds=self._plan.seconds)
            fleet.fill()
            world = World(self._directory, servers, kafka_link, postgres_link, fleet, load, settings, afterwards)
            await wait_until(lambda: _claimed(world), budget_seconds=60, describe="the workers have their partitions")
            yield world
        finally:
            fleet.end()
            await asyncio.gather(kafka_link.stop(), postgres_link.stop())
            await asyncio.to_thread(servers.stop)
            for clean in afterwards:
                clean()

    async def _under_load(self, world: World) -> None:
        keeper = asyncio.create_task(world.fleet.keep())
        load = asyncio.create_task(world.load.run())
        beside = [keeper] if self._watch is None else [keeper, asyncio.ensure_future(self._watch(world))]
        try:
            await asyncio.gather(*self._acts(world))
            world.load.faults_over = True
            settled = await _settled(world)
            if load.done() and not load.cancelled():
                load.result()
                self.result.invalid.append("the load ended before the faults did")
            self._tell(f"the last fault is over; {settled} offsets are committed, the load is at {world.load.steady}")
            await load
            if settled >= len(world.load.journal):
                self.result.invalid.append("everything was settled before the last fault was over")
            self._tell(f"the load is over: {world.load.journal.acknowledged} acknowledged")
        finally:
            for task in (load, *beside):
                task.cancel()
            await asyncio.gather(load, *beside, return_exceptions=True)

    def _acts(self, world: World) -> Sequence["asyncio.Future[None]"]:
        things = {thing for fault in CATALOGUE.values() for thing in fault.occupies}
        held = {thing: asyncio.Lock() for thing in sorted(things)}
        return [asyncio.ensure_future(self._act(world, act, held)) for act in self._plan.acts]

    async def _act(self, world: World, act: Act, held: dict[str, asyncio.Lock]) -> None:
        """Inject a fault at its time, or as soon as faults that occupy the same part are undone."""
        kind = CATALOGUE[act.fault]
        await asyncio.sleep(max(0.0, self._began + act.start - time.monotonic()))
        locks = [held[thing] for thing in sorted(kind.occupies)]
        for lock in locks:
            await lock.acquire()
        fault = kind(world, act.aim, act.seconds)
        self._struck.append(fault)
        until = time.monotonic() + act.seconds
        self._tell(f"{act.fault} strikes for {act.seconds:.1f} s")
        try:
            await fault.strike()
            await asyncio.sleep(max(0.0, until - time.monotonic()))
        except AssertionError as error:
            self.result.problems.append(f"{act.fault}: {error}")
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, KafkaError, BridgeError) as error:
            self.result.invalid.append(f"{act.fault} could not strike: {error}")
        finally:
            await _mend(fault)
            for lock in locks:
                lock.release()
        self._ended(fault)

    def _ended(self, fault: Fault) -> None:
        self._tell(f"{fault.name} is over ({fault.bites})")
        self.result.bites[fault.name] = self.result.bites.get(fault.name, 0) + fault.bites
        if not fault.bites:
            self.result.invalid.append(f"{fault.name} hit nothing")

    async def _drained(self, world: World) -> bool:
        """Whether all records were committed in time, none waits for a retry, and Kafka has the offsets."""
        world.fleet.fill()
        began = time.monotonic()
        keeper = asyncio.create_task(world.fleet.keep())
        try:
            await wait_until(
                lambda: _idle(world),
                budget_seconds=self._drain_seconds,
                describe="everything committed in Postgres and Kafka",
            )
            self.result.figures["drain seconds"] = round(time.monotonic() - began, 1)
        except AssertionError as error:
            self.result.problems.append(f"the work did not end: {error}; {await _unsettled(world)}")
            for name in world.fleet.names:
                self._say(f"--- {name}\n{world.fleet.last_words(name)}")
            return False
        finally:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        codes = await asyncio.gather(*(world.fleet.terminate(name) for name in world.fleet.names))
        if any(codes):
            self.result.problems.append(f"workers got SIGTERM and ended with {codes}")
        return True

    async def _judge(self, world: World) -> None:
        verdict = judge(world.load.journal, await gather(world.settings))
        self.result.problems += verdict.problems
        self.result.figures |= verdict.figures

    def _exits(self, fleet: Fleet) -> None:
        """Check the exits: a worker may exit at start if a service is down, and for no other reason."""
        self.result.figures |= {
            "workers started": fleet.started,
            "workers that found a service away at start": sum(one.code == UNFIT for one in fleet.exits),
            "largest worker MiB": fleet.largest_rss >> 20,
            "most log lines of a worker's minute": (most := fleet.most_lines_a_minute()),
        }
        if most > MOST_LINES_A_MINUTE:
            self.result.problems.append(f"a worker's log was flooded: {most} lines in a minute")
        for one in fleet.exits:
            if one.code != UNFIT:
                self.result.problems.append(f"{one.name} ended by itself with {one.code}: {one.last_words}")


async def _mend(fault: Fault) -> None:
    """Undo the fault; the database may refuse the first attempts, for example by a deadlock."""
    for left in reversed(range(_MEND_TRIES)):
        try:
            await fault.mend()
            return
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            if not left:
                raise
            await asyncio.sleep(1)


def _settings(servers: Servers) -> Settings:
    given = {name.removeprefix("BRIDGE_").lower(): value for name, value in STREAM.items()}
    return Settings(kafka_bootstrap_servers=servers.kafka, database_url=servers.database_url, **given)  # type: ignore[arg-type]  # the settings validate what they are given


async def _prepare(settings: Settings) -> None:
    await migrate(settings.dsn)
    await apply_topics(settings)
    await register_scripts(settings)
    conn = await asyncpg.connect(settings.dsn)
    try:
        await conn.execute(
            f"ALTER TABLE bridge_event ADD CONSTRAINT campaign_refuses CHECK (event_type <> '{REFUSED_TYPE}')"
        )
    finally:
        await conn.close()


async def _claimed(world: World) -> bool:
    async with world.session() as conn:
        claimed: int = await conn.fetchval(
            "SELECT count(*) FROM stream_offset WHERE topic = $1", world.settings.topics.raw
        )
    return claimed == PARTITIONS


async def _settled(world: World) -> int:
    async with world.session() as conn:
        found: int = await conn.fetchval(
            "SELECT coalesce(sum(next_offset), 0)::bigint FROM stream_offset WHERE topic = $1",
            world.settings.topics.raw,
        )
    return found


async def _idle(world: World) -> bool:
    """Whether no raw event is unread, no retry waits, and Kafka has the offsets."""
    async with world.session() as conn:
        if await conn.fetchval("SELECT count(*) FROM bridge_event_raw WHERE NOT normalized"):
            return False
    return await _settled(world) >= world.load.journal.acknowledged and not await uncommitted(world.settings)


async def _unsettled(world: World) -> str:
    with suppress(OSError, asyncpg.PostgresError):
        async with world.session() as conn:
            waiting = await conn.fetch(
                "SELECT raw_partition, raw_offset, retry_count, next_retry_at FROM bridge_event_raw "
                "WHERE NOT normalized ORDER BY next_retry_at LIMIT 5"
            )
            offsets = await conn.fetch("SELECT topic, partition, next_offset FROM stream_offset ORDER BY 1, 2")
        facts = {"waiting": list(map(str, waiting)), "offsets": list(map(str, offsets))}
        return json.dumps(facts | {"not told": await uncommitted(world.settings)})
    return "and Postgres does not answer"
