"""`python -m bench scaling`: the same topic settled by one, two and four worker processes."""

import argparse
import asyncio
import statistics
import sys

from rich.console import Console
from rich.table import Table

from bench import load, product, stand
from bridge.stack.stack import StackAddresses
from sinks.topics_admin import apply_topics

Rates = dict[int, list[float]]


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench scaling", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--lanes", type=int, default=8, help="of each worker")
    parser.add_argument("--seed", type=int, default=7)
    return parser.parse_args(words)


async def measure(addresses: StackAddresses, options: argparse.Namespace) -> Rates:
    """Events a second by the number of workers, from when each has partitions."""
    settings = stand.settings_of(addresses)
    await apply_topics(settings)
    await load.publish(settings, options.events, options.seed)
    rates: Rates = {workers: [] for workers in options.workers}
    for number in range(options.rounds):
        for workers in options.workers:
            environment = stand.environment_of(addresses, lanes=options.lanes, group=f"bench-{number}-{workers}")
            run = await product.run(
                addresses.database_url, environment, settings.topics.raw, options.events, workers=workers
            )
            rates[workers].append(run.events / run.seconds)
            sys.stderr.write(f"round {number + 1}, {workers} workers: {rates[workers][-1]:,.0f} events/s\n")
    return rates


def main(words: list[str]) -> int:
    options = arguments(words)
    with stand.servers() as addresses:
        rates = asyncio.run(measure(addresses, options))
    table = Table(title="events/s by worker processes")
    for heading in ("workers", "median", "least", "most"):
        table.add_column(heading, justify="right")
    for workers, found in rates.items():
        table.add_row(str(workers), *(f"{one:,.0f}" for one in (statistics.median(found), min(found), max(found))))
    Console().print(table)
    stand.keep("scaling", {"events": options.events, "lanes": options.lanes, "rates": rates})
    return 0
