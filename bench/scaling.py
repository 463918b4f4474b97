"""`python -m bench scaling`: one topic processed by one, two and four worker processes: rates and memory."""

import argparse
import asyncio
import sys

from bench.rig import mixed, product, stand, tables
from bench.rig.publish import publish
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


async def measure(one: stand.Stand, options: argparse.Namespace) -> Runs:
    """Return the runs by the number of workers, each measured from the time when every worker has partitions."""
    addresses = one.addresses
    settings = stand.settings_of(addresses)
    await apply_topics(settings)
    await publish(settings, mixed.records(options.events, options.seed))
    runs: Runs = {workers: [] for workers in options.workers}
    for number in range(options.rounds):
        for workers in options.workers:
            environment = stand.environment_of(addresses, lanes=options.lanes, group=f"bench-{number}-{workers}")
            run = await product.run(
                addresses.database_url,
                environment,
                settings.topics.raw,
                options.events,
                one.servers,
                workers=workers,
            )
            runs[workers].append(run)
            rate = run.events / run.seconds
            sys.stderr.write(f"round {number + 1}, {workers} workers: {rate:,.0f} events/s, {run.peak_mb:,.0f} MB\n")
    return runs


def main(words: list[str]) -> int:
    options = arguments(words)
    with stand.processes() as one:
        runs = asyncio.run(measure(one, options))
    rates = {workers: [run.events / run.seconds for run in found] for workers, found in runs.items()}
    peak_mb = {workers: max(run.peak_mb for run in found) for workers, found in runs.items()}
    totals = {workers: [run.cost_us.total for run in found] for workers, found in runs.items()}
    tables.show(
        f"by worker processes, behind a backlog of {options.events:,} events",
        ("workers", "events/s, median", "range", "CPU us of an event", "peak MB of all"),
        [
            (str(workers), tables.middle(found), tables.spread(found), tables.middle(totals[workers], ".1f"),
             f"{peak_mb[workers]:,.0f}")
            for workers, found in rates.items()
        ],
    )  # fmt: skip
    stand.keep("scaling", {"events": options.events, "lanes": options.lanes, "rates": rates, "peak_mb": peak_mb})
    return 0
