"""A real Prometheus and Alertmanager on loopback, with the deployed rules' times divided by thirty."""

import asyncio
import json
import os
import subprocess
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from support.wait import wait_until

from bridge.dev.stack.ports import LOOPBACK, choose
from bridge.reference.rules import render
from tools.alerts.prometheus import load, program

DIVISOR = int(os.environ.get("ALERTS_DIVISOR", "30"))
"""The divisor of the rules' times; set a smaller one on a machine that is too slow for a scrape each half a second."""
STEP_MS = 15_000 // DIVISOR
DEPLOYED = Path(__file__).resolve().parents[2] / "deploy"


@dataclass(frozen=True)
class Watching:
    """The addresses of both."""

    prometheus: str
    alertmanager: str

    async def query(self, expression: str) -> list[dict[str, Any]]:
        """Run an instant query."""
        found = await _get(f"{self.prometheus}/api/v1/query?{urllib.parse.urlencode({'query': expression})}")
        assert found["status"] == "success", found
        result: list[dict[str, Any]] = found["data"]["result"]
        return result

    async def query_range(self, expression: str, began: float, ended: float) -> list[dict[str, Any]]:
        """Run a range query over a span of time, in seconds since the epoch, with a value each step."""
        asked = urllib.parse.urlencode({"query": expression, "start": began, "end": ended, "step": STEP_MS / 1000})
        found = await _get(f"{self.prometheus}/api/v1/query_range?{asked}")
        result: list[dict[str, Any]] = found["data"]["result"]
        return result

    async def told(self) -> dict[str, dict[str, Any]]:
        """Return the alerts that are sent to people, by name: those that are not inhibited."""
        found = await _get(f"{self.alertmanager}/api/v2/alerts?active=true&inhibited=false&silenced=false")
        return {one["labels"]["alertname"]: one for one in found}


async def _get(url: str) -> Any:
    def ask() -> Any:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.loads(answer.read())

    return await asyncio.to_thread(ask)


def _dump(document: Any, path: Path) -> None:
    with path.open("w") as file:
        YAML(typ="safe", pure=True).dump(document, file)


def _configure(directory: Path, scraped: Mapping[str, Sequence[str]], alertmanager: str) -> None:
    """Write the deployed configuration with the test's targets and intervals."""
    configuration = load(DEPLOYED / "prometheus" / "prometheus.yml")
    configuration["global"] = {"scrape_interval": f"{STEP_MS}ms", "evaluation_interval": f"{STEP_MS}ms",
                               "scrape_timeout": f"{STEP_MS}ms"}  # fmt: skip
    configuration["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": [alertmanager]}]}]
    configuration["scrape_configs"] = [
        {"job_name": job, "static_configs": [{"targets": list(targets)}]} for job, targets in scraped.items()
    ]
    _dump(configuration, directory / "prometheus.yml")
    (directory / "bridge.rules.yml").write_text(render(DIVISOR))
    routes = load(DEPLOYED / "alertmanager" / "alertmanager.yml")
    # A test sends no notifications: the receivers keep their names only, for the routes.
    routes["receivers"] = [{"name": one["name"]} for one in routes["receivers"]]
    _dump(routes, directory / "alertmanager.yml")


@asynccontextmanager
async def watching(directory: Path, scraped: Mapping[str, Sequence[str]]) -> AsyncIterator[Watching]:
    """Run both, scraping the targets of these jobs, until the block ends."""
    ports: list[int] = []
    for purpose in ("Prometheus", "Alertmanager"):
        ports.append(choose(asked=None, remembered=None, taken=ports, purpose=purpose))
    prometheus, alertmanager = (f"{LOOPBACK}:{port}" for port in ports)
    _configure(directory, scraped, alertmanager)
    commands = (
        ["prometheus-alertmanager", f"--config.file={directory}/alertmanager.yml", f"--web.listen-address={alertmanager}",
         f"--storage.path={directory}/alertmanager", "--cluster.listen-address="],
        ["prometheus", f"--config.file={directory}/prometheus.yml", f"--web.listen-address={prometheus}",
         f"--storage.tsdb.path={directory}/prometheus", "--rules.alert.resend-delay=1s"],
    )  # fmt: skip
    running = []
    try:
        for command in commands:
            with (directory / f"{command[0]}.log").open("wb") as log:
                running.append(
                    subprocess.Popen(
                        [program(command[0]), *command[1:]], stdout=log, stderr=log, stdin=subprocess.DEVNULL
                    )
                )
        found = Watching(f"http://{prometheus}", f"http://{alertmanager}")
        for url in (found.prometheus, found.alertmanager):
            await wait_until(
                lambda url=url: _ready(url),
                budget_seconds=30,
                describe=lambda: "\n".join(log.read_text()[-1000:] for log in directory.glob("*.log")),
            )
        # Before the first scrape, seconds after the start, Prometheus counts no worker as up.
        count = sum(map(len, scraped.values()))
        await wait_until(lambda: _settled(found, count), budget_seconds=60, describe="every target scraped")
        yield found
    finally:
        for process in running:
            process.kill()
            process.wait(10)


async def _settled(watched: Watching, targets: int) -> bool:
    up = await watched.query("sum(up)")
    return (
        bool(up and float(up[0]["value"][1]) == targets)
        and not await watched.query("ALERTS")
        and not await watched.told()
    )


async def _ready(url: str) -> bool:
    def ask() -> bool:
        try:
            with urllib.request.urlopen(f"{url}/-/ready", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    return await asyncio.to_thread(ask)
