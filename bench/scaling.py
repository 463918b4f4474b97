"""`python -m bench scaling`: one topic processed by one, two and four worker processes: rates and memory."""

import argparse
import asyncio
import statistics
import sys

from rich.console import Console
from rich.table import Table

from bench.rig import load, product, stand
from bridge.dev.stack.stack import StackAddresses
from sinks.kafka.topics import apply_topics

Runs = dict[int, list[product.Run]]


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench scaling", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--lanes", type=int, default=8, help="of each worker")
    parser.add_argument("--seed", type=int, default=7)
    return parser.parse_args(words)


async def measure(addresses: StackAddresses, options: argparse.Namespace) -> Runs:
    """Return the runs by the number of workers, each measured from the time when every worker has partitions."""
    settings = stand.settings_of(addresses)
    await apply_topics(settings)
    await load.publish(settings, options.events, options.seed)
    runs: Runs = {workers: [] for workers in options.workers}
    for number in range(options.rounds):
        for workers in options.workers:
            environment = stand.environment_of(addresses, lanes=options.lanes, group=f"bench-{number}-{workers}")
            run = await product.run(
                addresses.database_url, environment, settings.topics.raw, options.events, workers=workers
            )
            runs[workers].append(run)
            rate = run.events / run.seconds
            sys.stderr.write(f"round {number + 1}, {workers} workers: {rate:,.0f} events/s, {run.peak_mb:,.0f} MB\n")
    return runs


def main(words: list[str]) -> int:
    options = arguments(words)
    with stand.servers() as addresses:
        runs = asyncio.run(measure(addresses, options))
    rates = {workers: [run.events / run.seconds for run in found] for workers, found in runs.items()}
    peak_mb = {workers: max(run.peak_mb for run in found) for workers, found in runs.items()}
    table = Table(title=f"by worker processes, behind a backlog of {options.events:,} events")
    for heading in ("workers", "events/s, median", "least", "most", "peak MB of all"):
        table.add_column(heading, justify="right")
    for workers, found in rates.items():
        figures = (statistics.median(found), min(found), max(found), peak_mb[workers])
        table.add_row(str(workers), *(f"{one:,.0f}" for one in figures))
    Console().print(table)
    stand.keep("scaling", {"events": options.events, "lanes": options.lanes, "rates": rates, "peak_mb": peak_mb})
    return 0
