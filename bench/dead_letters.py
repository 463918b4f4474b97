"""`python -m bench dead_letters`: response times of groups and pages over a million dead letters."""

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx

from bench.gateway import server
from bench.rig import stand
from bench.rig.product import fresh_schema
from bridge.dev.stack.stack import StackAddresses
from schemas.api_token import Role
from schemas.documents.dead_letter_filter import DeadLetterFilter
from sinks.kafka.topics import apply_topics
from sinks.postgres.dead_letters.groups import read_groups
from sinks.postgres.dead_letters.pages import page
from sinks.postgres.registry.admin import add_script
from sinks.postgres.tokens.api_tokens import create_api_token

FILL = Path(__file__).with_suffix(".sql")
SITES = 40
PAGE = 50
GROUPS_BAR_MS, PAGE_BAR_MS = 1000, 200
NO_BAR = "page: a text"  # every row is read


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench dead_letters", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="open dead letters")
    parser.add_argument("--rounds", type=int, default=20, help="times that each question is asked")
    parser.add_argument("--database-url", help="fill and ask this empty database instead of one of its own")
    return parser.parse_args(words)


def questions(now: datetime) -> dict[str, dict[str, Any]]:
    """Return the filters of the measured pages by name: frequent and rare, with one and several conditions."""
    return {
        "everything open": {},
        "a reason": {"dropped_reason": ["retry_exhausted"]},
        "a rare reason": {"dropped_reason": ["sink_rejected_row"]},
        "an error class": {"error_class": ["unknown_gateway_key"]},
        "a site": {"site_id": [1]},
        "a rare site": {"site_id": [SITES]},
        "no readable site": {"site_id": [0]},
        "an organisation": {"org_ids": [3]},
        "a script": {"script_id": ["script-20-1"]},
        "no such script": {"script_id": ["nobody"]},
        "an event id": {"event_id": ["again-100"]},
        "a day": {"since": now - timedelta(days=9), "until": now - timedelta(days=8)},
        "an attempt": {"attempt": [4]},
        "a site and a reason": {"site_id": [3], "dropped_reason": ["schema_violation"]},
        "two sites, a class and a week": {"site_id": [3, 4], "error_class": ["unknown_script"], "since": now - timedelta(days=7)},
        "discarded": {"disposition": ["discarded"]},
        "duplicates": {"dropped_reason": ["duplicate_event_id"]},
        "a text": {"text": "widget-17'"},
        "a text within a day": {"text": "amount_sane", "since": now - timedelta(days=1)},
    }  # fmt: skip


async def fill(dsn: str, rows: int) -> None:
    await fresh_schema(dsn)
    for site in range(1, SITES + 1):
        await add_script(dsn, f"script-{site}-1", site, org_id=1 + site % 5, move=True)
    connection = await asyncpg.connect(dsn)
    await connection.execute(FILL.read_text().replace("$1", str(rows)))
    # The state that autovacuum reaches some minutes later.
    await connection.execute("VACUUM ANALYZE bridge_event_raw")
    sizes = await connection.fetch(
        "SELECT relname, pg_size_pretty(pg_relation_size(oid)) FROM pg_class WHERE relname LIKE 'bridge_event_raw%'"
    )
    sys.stderr.write(", ".join(f"{name} {size}" for name, size in sizes) + "\n")
    await connection.close()


async def timed(rounds: int, ask: Callable[[], Awaitable[Any]]) -> list[float]:
    """Return the milliseconds of each round, including the connection."""
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        await ask()
        taken.append(1000 * (time.perf_counter() - started))
    return taken


async def measure(dsn: str, options: argparse.Namespace) -> dict[str, list[float]]:
    await fill(dsn, options.rows)
    now = datetime.now(UTC)
    found = {}
    for name, fields in questions(now).items():
        chosen = DeadLetterFilter.model_validate(fields)
        found[f"page: {name}"] = await timed(options.rounds, lambda chosen=chosen: page(dsn, chosen, limit=PAGE))
        sys.stderr.write(f"{name}: {statistics.median(found[f'page: {name}']):.0f} ms\n")
    first = await page(dsn, DeadLetterFilter(), limit=1000)
    found["page: deep"] = await timed(
        options.rounds, lambda: page(dsn, DeadLetterFilter(), limit=PAGE, after=first.following)
    )
    for name, fields in {
        "everything open": {},
        "a site": {"site_id": [3]},
        "a day": {"since": now - timedelta(days=1)},
    }.items():
        chosen = DeadLetterFilter.model_validate(fields)
        found[f"groups: {name}"] = await timed(
            options.rounds, lambda chosen=chosen: read_groups(dsn, chosen, now=now, hours=6, limit=20)
        )
    return found


async def over_http(addresses: StackAddresses, rounds: int) -> dict[str, dict[str, list[float]]]:
    """Measure two queries through the command line's code and through the API, in turn: milliseconds of each."""
    dsn, now = addresses.database_url, datetime.now(UTC)
    await apply_topics(stand.settings_of(addresses))
    token = await create_api_token(dsn, "bench", Role.VIEWER)
    site = DeadLetterFilter(site_id=(3,))
    asked: dict[str, tuple[str, Callable[[], Awaitable[Any]]]] = {
        "page: a site": (f"?site_id=3&limit={PAGE}", lambda: page(dsn, site, limit=PAGE)),
        "groups: everything open": (
            "/groups",
            lambda: read_groups(dsn, DeadLetterFilter(), now=now, hours=6, limit=20),
        ),
    }
    environment = stand.environment_of(addresses, api_requests_per_second=0, log_level="WARNING")
    found = {}
    with server(["-m", "bridge", "api", "serve", "--port", "0"], environment) as url:
        headers = {"authorization": f"Bearer {token.text}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:

            async def get(path: str) -> None:
                (await client.get(f"/v1/dead-letters{path}")).raise_for_status()

            for name, (path, direct) in asked.items():
                await get(path)
                taken: dict[str, list[float]] = {"direct": [], "http": []}
                for _ in range(rounds):
                    taken["direct"] += await timed(1, direct)
                    taken["http"] += await timed(1, lambda path=path: get(path))  # type: ignore[misc]  # bound immediately
                found[name] = taken
    return found


def main(words: list[str]) -> int:
    options = arguments(words)
    http: dict[str, dict[str, list[float]]] = {}
    if options.database_url:
        found = asyncio.run(measure(options.database_url, options))
    else:
        with stand.servers() as addresses:
            found = asyncio.run(measure(addresses.database_url, options))
            http = asyncio.run(over_http(addresses, options.rounds))
    print(f"{options.rows:,} open dead letters, {options.rounds} rounds, ms: median, worst")
    for name, taken in found.items():
        print(f"{name:40} {statistics.median(taken):8.1f} {max(taken):8.1f}")
    ratios = {name: statistics.median(one["http"]) / statistics.median(one["direct"]) for name, one in http.items()}
    for name, ratio in ratios.items():
        print(
            f"over HTTP: {name:29} {statistics.median(http[name]['http']):8.1f} ms, {ratio:.2f} of the same asked directly"
        )
    kept = {"rows": options.rows, "rounds": options.rounds, "milliseconds": found}
    stand.keep("dead_letters", kept | {"http": {"milliseconds": http, "ratios": ratios}})
    late = [name for name, taken in found.items() if name != NO_BAR and statistics.median(taken) > bar_of(name)]
    return 1 if late else 0


def bar_of(name: str) -> int:
    return GROUPS_BAR_MS if name.startswith("groups") else PAGE_BAR_MS
