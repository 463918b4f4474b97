"""The rules against the running product: silent while it is healthy, and one alert for each fault."""

import asyncio
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from support.events.settled import prepare, settings_for
from support.wait import wait_until

from deploy.dashboards import DASHBOARDS, RATE, dashboard
from tools.alerts.faults import FAULTS
from tools.alerts.product import running
from tools.alerts.queries import QUERIES
from tools.alerts.servers import DIVISOR, STEP_MS, Watching, watching

HEALTHY_SECONDS = float(os.environ.get("ALERTS_HEALTHY_MINUTES", "10")) * 60 / DIVISOR
"""Ten minutes in the rules' time."""
TELL_SECONDS = 90 * 30 / DIVISOR
# Series that a healthy product doesn't have.
MAY_BE_EMPTY = {"Runs within the hour", "Retries waiting", "Retries scheduled", "Open dead letters", "Replays"}
SHOWN_IN_TROUBLE = (
    "gateway",
    # A series exists only where jobs run.
    "bridge_run_last_success_timestamp_seconds",
    "bridge_api_",
    "bridge_open_transaction_seconds",
    "bridge_paused_partitions",
    "bridge_retries_total",
    "bridge_database_connections_failed_total",
)

pytestmark = pytest.mark.timeout(400 * 30 / DIVISOR)


async def silent(watched: Watching, seconds: float) -> None:
    """Check that no notification is sent for so many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        told = await watched.told()
        assert told == {}, {name: one["annotations"]["summary"] for name, one in told.items()}
        await asyncio.sleep(STEP_MS / 1000)


async def test_nothing_fires_while_all_is_well(stack, database_url: str, topic_prefix: str, tmp_path: Path) -> None:
    """Ten minutes of load in the rules' time, a twentieth of it duplicates; afterwards every panel has values."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    async with running(settings, tmp_path, gateways=1) as product, watching(tmp_path, product.scraped) as watched:
        await silent(watched, HEALTHY_SECONDS)

        assert await watched.query('ALERTS{alertstate="firing"}') == []
        (duplicates,) = await watched.query(
            'sum(increase(bridge_dropped_events_total{reason="duplicate_event_id"}[20s]))'
        )
        assert float(duplicates["value"][1]) > 20
        await every_panel_shows_something(watched)
        await every_runbook_is_answered(watched)


async def every_panel_shows_something(watched: Watching) -> None:
    for uid in DASHBOARDS:
        for panel in dashboard(uid)["panels"]:
            for target in panel["targets"]:
                found = await watched.query(target["expr"].replace(RATE, "10s"))
                assert found or panel["title"] in MAY_BE_EMPTY, f"{uid}: {panel['title']}: {target['expr']}"


async def every_runbook_is_answered(watched: Watching) -> None:
    """Every query has values, except those of a fault or a gateway."""
    asked = [(name, query) for name, query in QUERIES if not any(part in query for part in SHOWN_IN_TROUBLE)]
    silent = [f"{name}: {query}" for name, query in asked if not await watched.query(query)]
    assert silent == []


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_is_told_by_its_alert(
    stack, database_url: str, topic_prefix: str, tmp_path: Path, name: str
) -> None:
    """Nothing fires before the fault; then its alert, with numbers in its summary, alone in its priority."""
    fault = FAULTS[name]
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    async with (
        running(settings, tmp_path, workers=fault.workers, gateways=fault.gateways, **fault.more) as product,
        watching(tmp_path, product.scraped) as watched,
    ):
        await silent(watched, 5)

        await fault.strike(product)
        # As first notified: the alert may have ended when the test reads it next.
        seen: dict[str, dict[str, Any]] = {}

        async def told() -> bool:
            for alert, one in (await watched.told()).items():
                seen.setdefault(alert, one)
            return fault.alert in seen

        await wait_until(
            told, budget_seconds=TELL_SECONDS, describe=lambda: f"{fault.alert}, told: {list(seen)}; {product.logs()}"
        )
        # Further alerts of the same fault come with it or shortly after.
        for _ in range(6):
            await asyncio.sleep(STEP_MS / 1000)
            await told()

    summary = seen[fault.alert]["annotations"]["summary"]
    priorities = {alert: one["labels"]["priority"] for alert, one in seen.items()}
    assert [alert for alert, priority in priorities.items() if priority == priorities[fault.alert]] == [fault.alert]
    assert re.search(r"\d", summary)
    assert "<" not in summary
