"""`python -m bench`: this product beside the unsafe limit on one topic, in turn, and the median of their ratios."""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench import load, product
from bridge.stack.stack import Stack, StackAddresses
from schemas.settings import Settings
from sinks.topics_admin import apply_topics

BAR = 0.3


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--lanes", type=int, default=4)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--json-output", type=Path)
    return parser.parse_args()


def run_limit(addresses: StackAddresses, topic: str, count: int) -> dict[str, float]:
    """The limit in a process of its own."""
    command = [sys.executable, "-m", "bench.limit", addresses.kafka, addresses.database_url, topic, str(count)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    found: dict[str, float] = json.loads(done.stdout)
    return found


async def measure(addresses: StackAddresses, options: argparse.Namespace) -> list[dict[str, float]]:
    """One row per round: the limit, then the product, on the same topic."""
    environment = {
        "BRIDGE_KAFKA_BOOTSTRAP_SERVERS": addresses.kafka,
        "BRIDGE_DATABASE_URL": addresses.database_url,
        "BRIDGE_TOPIC_PREFIX": "bench.",
        "BRIDGE_LANES": str(options.lanes),
    }
    settings = Settings(
        kafka_bootstrap_servers=addresses.kafka, database_url=addresses.database_url, topic_prefix="bench."
    )
    await apply_topics(settings)
    sys.stderr.write(f"publishing {options.events} events\n")
    await load.publish(settings, options.events, options.seed)
    rows = []
    for number in range(options.rounds):
        limit = await asyncio.to_thread(run_limit, addresses, settings.topics.raw, options.events)
        group = {"BRIDGE_GROUP": f"bench-{number}"}
        run = await product.run(addresses.database_url, environment | group, settings.topics.raw, options.events)
        row = {
            "limit": limit["events"] / limit["seconds"],
            "product": run.events / run.seconds,
            "cpu_us": run.cpu_seconds / run.events * 1e6,
            "peak_mb": run.peak_mb,
        }
        row["ratio"] = row["product"] / row["limit"]
        sys.stderr.write(f"round {number + 1}: {json.dumps({name: round(one, 3) for name, one in row.items()})}\n")
        rows.append(row)
    return rows


def report(rows: list[dict[str, float]]) -> None:
    table = Table(title="events/s on one topic, median and range")
    for heading in ("contestant", "median", "least", "most"):
        table.add_column(heading, justify="left" if heading == "contestant" else "right")
    names = {
        "limit": "unsafe limit, one connection", "product": "ghostlink bridge, all guarantees", "ratio": "ratio",
        "cpu_us": "worker's CPU, µs an event", "peak_mb": "worker's peak memory, MB",
    }  # fmt: skip
    for key, name in names.items():
        figures = [row[key] for row in rows]
        form = ".2f" if key in ("ratio", "cpu_us") else ",.0f"
        table.add_row(name, *(format(one, form) for one in (statistics.median(figures), min(figures), max(figures))))
    Console().print(table)


def main() -> int:
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="bridge-bench-") as directory, Stack(Path(directory)) as addresses:
        rows = asyncio.run(measure(addresses, options))
    report(rows)
    if options.json_output:
        options.json_output.write_text(json.dumps(rows, indent=2) + "\n")
    return 0 if statistics.median(row["ratio"] for row in rows) >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
