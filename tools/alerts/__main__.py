"""`python -m tools.alerts RESULT`: records two minutes of real figures for the pictures of the dashboards.

They show a load, flawed events, an outage and a replay.
"""

import argparse
import asyncio
import itertools
import json
import secrets
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from support.events.replays import dlq, plan
from support.events.settled import event, prepare, settings_for
from support.infrastructure.databases import create_database
from support.infrastructure.servers import embedded

from deploy.dashboards import DASHBOARDS, GREEN, RATE, RED, YELLOW, dashboard
from sinks.postgres.schema.migrate import migrate
from tools.alerts.faults import elsewhere
from tools.alerts.product import Product, running
from tools.alerts.servers import Watching, watching

WORSE = (GREEN, YELLOW, RED)
RETRY_DELAYS = ("2s", "4s")


Happened = dict[str, tuple[float, float]]


async def story(product: Product) -> Happened:
    """Play the scenes: valid events, a tenth broken, a fifth with an unknown script, Postgres down, recovery, a replay.

    Returns the start and the end of each scene in seconds since the beginning.
    """
    happened: Happened = {}
    began = time.monotonic()

    @asynccontextmanager
    async def told(what: str) -> AsyncIterator[None]:
        since = time.monotonic() - began
        yield
        happened[what] = (round(since, 1), round(time.monotonic() - began, 1))

    await asyncio.sleep(20)
    async with told("a tenth breaks the contract"):
        product.make = lambda number: event(number, event_type="") if number % 10 == 0 else event(number)
        await asyncio.sleep(12)
    async with told("a fifth names an unknown script"):
        product.make = lambda number: event(number, script_id="nobody") if number % 5 == 0 else event(number)
        await asyncio.sleep(12)
    product.make = event
    await asyncio.sleep(8)
    async with elsewhere(product.settings) as (conn, name), told("Postgres refuses connections"):
        await conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND backend_type = 'client backend'",
            name,
        )
        await asyncio.sleep(12)
        await conn.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    await asyncio.sleep(8)
    async with told("events that broke the contract are corrected and replayed"):
        broken = ("--dropped-reason", "schema_violation", "--set", "event_type=click", "--reason", "a widget's mistake")
        plan_id, _ = await plan(product.settings, *broken)
        await dlq(product.settings, "replay", plan_id, "--rate", "20/s")
    await asyncio.sleep(10)
    return happened


async def figures(watched: Watching, began: float, happened: Happened, prefix: str) -> dict[str, Any]:
    """Query the series of each panel of each dashboard, a value each half a second."""
    ended = time.time()
    found: dict[str, Any] = {}
    for uid in DASHBOARDS:
        panels = []
        for panel in dashboard(uid)["panels"]:
            series = []
            for target in panel["targets"]:
                expression = target["expr"].replace(RATE, "5s")
                for one in await watched.query_range(expression, began, ended):
                    legend = target["legendFormat"]
                    for name, value in one["metric"].items():
                        legend = legend.replace("{{" + name + "}}", value.removeprefix(prefix))
                    points = [[round(at - began, 1), float(value)] for at, value in one["values"]]
                    series.append({"legend": legend, "points": points})
            limits = limits_of(panel["fieldConfig"]["defaults"]["thresholds"]["steps"])
            panels.append({"title": panel["title"], "unit": panel["fieldConfig"]["defaults"]["unit"],
                           "limits": limits, "series": series})  # fmt: skip
        seconds = round(ended - began, 1)
        found[uid] = {"title": dashboard(uid)["title"], "panels": panels, "happened": happened, "seconds": seconds}
    return found


def limits_of(steps: list[dict[str, Any]]) -> list[list[Any]]:
    """Pair each limit with the colour of its worse side."""
    return [
        [step["value"], max(before["color"], step["color"], key=WORSE.index)]
        for before, step in itertools.pairwise(steps)
    ]


async def collect(kafka: str, database_url: str, directory: Path) -> dict[str, Any]:
    await migrate(database_url)
    settings = settings_for(kafka, database_url, f"p{secrets.token_hex(3)}.", retry_delays=RETRY_DELAYS)
    await prepare(settings)
    async with running(settings, directory, gateways=1) as product, watching(directory, product.scraped) as watched:
        began = time.time()
        happened = await story(product)
        return await figures(watched, began, happened, settings.topic_prefix)


def main(result: Path) -> None:
    with embedded() as addresses, tempfile.TemporaryDirectory() as directory:
        database_url = create_database(addresses, "pictures")
        result.write_text(json.dumps(asyncio.run(collect(addresses.kafka, database_url, Path(directory)))))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tools.alerts", description=__doc__)
    parser.add_argument("result", type=Path, help="the file to write the figures to, as JSON")
    main(parser.parse_args().result)
