"""`python -m tools.faults.churn`: starts and stops workers, cuts connections, and checks that no resource grows.

Exit code: 0 if all held, 1 if something grew or a promise was broken, 2 for a wrong argument, 3 if nothing is proven.
"""

import argparse
import asyncio
import json
import logging
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

import asyncpg
import psutil
from support.infrastructure.servers import stack_directory
from support.wait import wait_until

from schemas.errors import BridgeError
from tools.faults.catalogue import CATALOGUE
from tools.faults.plan import Plan, make_plan
from tools.faults.run import Result, Run
from tools.faults.world import World

FAULTS = ("workers-joining", "kafka-reset", "kafka-cut", "postgres-reset", "postgres-cut", "sessions-ended")
"""None of them ends the workers that were started first: what these hold at the end shows what they never released."""
WORKERS = 2
_LOOK_SECONDS = 1.0
_MEBIBYTE = 1024 * 1024
SESSIONS_OF_A_WORKER = 10
"""Two lanes, the retry lane, the registry, and the periodic tasks: lag, gate, retry reaper and monthly partitions."""
MOST_FILES = 120
MORE_FILES = 8
MORE_MIB = 32
MORE_THREADS = 4


class Sample(NamedTuple):
    """The resources of one worker at one moment; memory in MiB."""

    files: int
    threads: int
    memory: int


class Held(NamedTuple):
    """All samples of a run."""

    by_worker: dict[str, list[Sample]]
    sessions: list[int]
    left: int
    """Sessions that were left when all workers had ended."""


class Watcher:
    """Samples the first workers and Postgres' sessions once a second."""

    def __init__(self) -> None:
        self.by_worker: dict[str, list[Sample]] = {}
        self.sessions: list[int] = []

    async def watch(self, world: World) -> None:
        """Sample until cancelled."""
        elders = world.fleet.names[:WORKERS]
        self.by_worker = {name: [] for name in elders}
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            for name in set(elders) & set(world.fleet.names):
                with suppress(psutil.Error):
                    process = psutil.Process(world.fleet.pid(name))
                    memory = process.memory_info().rss // _MEBIBYTE
                    self.by_worker[name].append(Sample(process.num_fds(), process.num_threads(), memory))
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                self.sessions.append(await sessions(world))


async def sessions(world: World) -> int:
    """Number of workers' sessions in Postgres."""
    async with world.session() as conn:
        count: int = await conn.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'ghostlink-bridge%'"
        )
    return count


def grown(held: Held, most_workers: int) -> list[str]:
    """Describe what grew: the last quarter of a run is compared with the second, since the first is the warm-up."""
    problems = [] if held.by_worker else ["no worker was looked at"]
    for name, samples in sorted(held.by_worker.items()):
        quarter = len(samples) // 4
        if quarter < 3:
            problems.append(f"{name} was seen {len(samples)} times only: it did not live through the run")
            continue
        before, after = _middle(samples[quarter : 2 * quarter]), _middle(samples[-quarter:])
        for field, more in (("files", MORE_FILES), ("threads", MORE_THREADS), ("memory", MORE_MIB)):
            was, now = getattr(before, field), getattr(after, field)
            if now > was + more:
                problems.append(f"{name}'s {field} grew from {was} to {now}")
        if (most := max(sample.files for sample in samples)) > MOST_FILES:
            problems.append(f"{name} had {most} open file descriptors")
    bound = SESSIONS_OF_A_WORKER * most_workers
    if (most := max(held.sessions, default=0)) > bound:
        problems.append(f"the workers had {most} concurrent sessions, more than {bound}")
    if held.left:
        problems.append(f"{held.left} sessions were left when all workers had ended")
    return problems


def _middle(samples: Sequence[Sample]) -> Sample:
    return Sample(*(round(statistics.median(column)) for column in zip(*samples, strict=True)))


async def churn(plan: Plan, directory: Path, events: int, say: Callable[[str], None]) -> Result:
    """Do one run; its result has what grew in `problems` and the resources in `figures`."""
    watcher = Watcher()
    left: list[int] = []

    async def none_left(world: World) -> bool:
        left.append(await sessions(world))
        return not left[-1]

    async def count_left(world: World) -> None:
        with suppress(AssertionError):
            # Postgres notices the end of a client a moment later.
            await wait_until(lambda: none_left(world), budget_seconds=10, describe="no session")

    run = Run(
        plan, directory, events=events, workers=WORKERS, say=say, watch=watcher.watch, when_ended=count_left
    )  # fmt: skip
    result = await run.carry_out()
    held = Held(watcher.by_worker, watcher.sessions, left[-1] if left else 0)
    # workers-joining adds two at a time.
    result.problems += grown(held, WORKERS + 2)
    everything = [sample for samples in held.by_worker.values() for sample in samples]
    result.figures |= {
        "most file descriptors": max((one.files for one in everything), default=0),
        "most threads": max((one.threads for one in everything), default=0),
        "most MiB": max((one.memory for one in everything), default=0),
        "most sessions of all workers": max(held.sessions, default=0),
    }
    return result


def plan_of(seed: int, seconds: float) -> Plan:
    """Make a plan with as many faults as fit."""
    return make_plan(seed, seconds, [CATALOGUE[name].kind() for name in FAULTS], at_least=1)


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # this is what a command line is for


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="churn", description="Workers and connections come and go; nothing grows.")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--keep", type=Path, help="a directory that keeps servers' and workers' files")
    given = parser.parse_args(words)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        plan = plan_of(given.seed, given.seconds)
    except ValueError as error:
        say(f"error: {error}")
        return 2
    if given.keep and given.keep.exists():
        say(f"error: {given.keep} is there from an earlier run: remove it, or name another with --keep")
        return 2
    began = time.monotonic()
    with ExitStack() as stack:
        directory = given.keep or stack.enter_context(stack_directory())
        directory.mkdir(parents=True, exist_ok=True)
        try:
            result = asyncio.run(churn(plan, directory, given.events, say))
        except BridgeError as error:
            say(f"error: {error}")
            return 3
    say(json.dumps({"faults": result.bites, **{name: value for name, value in result.figures.items() if value}}))
    for line in result.invalid:
        say(f"INVALID: {line}")
    for line in result.problems:
        say(f"BROKEN: {line}")
    say(f"{'all that is bounded stayed so' if result.green else 'see above'} ({time.monotonic() - began:.0f} s)")
    return 1 if result.problems else 3 if result.invalid else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
