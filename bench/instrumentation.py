"""`python -m bench instrumentation`: what counting costs: CPU seconds an event with all metrics and without any, in pairs."""

import argparse
import asyncio
import statistics
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from rich.console import Console
from rich.table import Table

from bench import load, product, stand
from bridge.stack.ports import LOOPBACK, choose
from bridge.stack.stack import StackAddresses
from sinks.topics_admin import apply_topics

BARE = [sys.executable, "-m", "bench.bare_worker"]
SCRAPE_SECONDS = 5.0
"""A third of the usual, so that a short run is not scraped too seldom."""
MOST_PCT = 3.0


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench instrumentation", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=7)
    return parser.parse_args(words)


@asynccontextmanager
async def scraped(port: int) -> AsyncIterator[None]:
    """While the block runs, somebody reads /metrics as Prometheus would."""

    def read() -> None:
        with suppress(OSError), urllib.request.urlopen(f"http://{LOOPBACK}:{port}/metrics", timeout=5) as page:
            page.read()

    async def often() -> None:
        while True:
            await asyncio.to_thread(read)
            await asyncio.sleep(SCRAPE_SECONDS)

    reading = asyncio.create_task(often())
    try:
        yield
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def measure(addresses: StackAddresses, options: argparse.Namespace) -> list[tuple[float, float]]:
    """Microseconds an event, with and without, pair by pair; which of the two comes first alternates."""
    settings = stand.settings_of(addresses)
    await apply_topics(settings)
    await load.publish(settings, options.events, options.seed)
    port = choose(asked=None, remembered=None, taken=(), purpose="metrics")

    async def run(number: int, *, bare: bool) -> float:
        group = f"bench-{number}-{'bare' if bare else 'counted'}"
        environment = stand.environment_of(addresses, group=group, metrics_port=port)
        command = BARE if bare else product.WORKER
        async with scraped(port):
            found = await product.run(
                addresses.database_url, environment, settings.topics.raw, options.events, command=command
            )
        return found.cpu_seconds / found.events * 1e6

    # The first run of all is slower than any other, and belongs to neither.
    await run(0, bare=True)
    pairs = []
    for number in range(1, options.pairs + 1):
        first = await run(number, bare=number % 2 == 0)
        second = await run(number, bare=number % 2 == 1)
        counted, bare = (second, first) if number % 2 == 0 else (first, second)
        pairs.append((counted, bare))
        sys.stderr.write(
            f"pair {number}: {counted:.2f} us with, {bare:.2f} us without: {cost_pct(counted, bare):+.2f} %\n"
        )
    return pairs


def cost_pct(counted: float, bare: float) -> float:
    return 100 * (counted / bare - 1)


def main(words: list[str]) -> int:
    """Ends with 1 if counting costs more than it may."""
    options = arguments(words)
    with stand.servers() as addresses:
        pairs = asyncio.run(measure(addresses, options))
    costs = [cost_pct(*pair) for pair in pairs]
    median = statistics.median(costs)
    table = Table(title=f"microseconds of CPU an event, {options.events:,} events")
    for heading in ("pair", "with metrics", "without", "cost"):
        table.add_column(heading, justify="right")
    for number, ((counted, bare), cost) in enumerate(zip(pairs, costs, strict=True), start=1):
        table.add_row(str(number), f"{counted:.2f}", f"{bare:.2f}", f"{cost:+.2f} %")
    console = Console()
    console.print(table)
    console.print(
        f"median {median:+.2f} %, from {min(costs):+.2f} to {max(costs):+.2f} %; at most {MOST_PCT:g} % is allowed"
    )
    stand.keep(
        "instrumentation", {"events": options.events, "pairs_us": pairs, "cost_pct": costs, "median_pct": median}
    )
    return 0 if median < MOST_PCT else 1
