"""The gateway against its own OpenAPI document: no server error, and no undocumented answer."""

import asyncio
import re
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from support.processes.gateway import ORIGIN, gateway
from support.processes.programs import environment

from schemas.config.settings import Settings
from sinks.postgres.registry.admin import add_script

EXAMPLES = 20
# Most requests are for a script that exists, with its key; all other values are generated.
CONFIGURATION = """
seed = 20
# Of the requests drawn at random many are thrown away, by chance too many; what is left is counted below.
suppress-health-check = ["filter_too_much"]
headers = {{ Authorization = "Bearer {key}", Origin = "{origin}" }}
parameters = {{ script_id = {{ dictionary = "scripts", probability = 0.9 }} }}
[dictionaries.scripts]
values = ["s1"]
[generation]
max-examples = {examples}
database = "none"
[checks]
# The stream is the judge of events: what breaks the document's schema of one is accepted, and dead-lettered.
negative_data_rejection.enabled = false
# What is not there, or another script's, is refused although it fits the schema.
positive_data_acceptance.enabled = false
# Kafka may be slow on a slow machine; this is the one refusal of the server's that says so.
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "503"]
"""


@pytest.mark.timeout(1000)
async def test_no_answer_is_undocumented(settings: Settings, key: str, tmp_path: Path) -> None:
    """schemathesis sends valid and invalid requests, examples and limits of each parameter to every route."""
    await add_script(settings.dsn, "s1", 1, origins=[ORIGIN])
    configuration = tmp_path / "schemathesis.toml"
    configuration.write_text(CONFIGURATION.format(key=key, origin=ORIGIN, examples=EXAMPLES))
    unlimited = dict.fromkeys(
        (
            "gateway_script_events_per_second", "gateway_org_events_per_second", "gateway_script_bytes_per_second", "gateway_validate_events_per_second",
            "gateway_address_requests_per_second", "gateway_address_bytes_per_second",
            "gateway_address_events_per_second", "gateway_visitors_events_per_second",
        ),
        0,
    )  # fmt: skip
    with gateway(settings, tmp_path / "log", **unlimited) as running:
        words = ["--config-file", str(configuration), "--no-color", "run", f"{running.url}/openapi.json"]
        done = await asyncio.to_thread(
            subprocess.run,
            [Path(sys.executable).with_name("schemathesis"), *words],
            cwd=tmp_path,
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
        )
        async with httpx.AsyncClient(base_url=running.url) as client:
            figures = (await client.get("/metrics")).text

    assert done.returncode == 0, f"{done.stdout[-20_000:]}\n{done.stderr[-2_000:]}"
    # Every route must have accepted requests; otherwise only the refusals would be tested.
    for route, status in (("events", 202), ("validate", 200), ("token", 200), ("snippet", 200)):
        found = re.search(rf'bridge_gateway_requests_total{{route="{route}",status="{status}"}} (\d+)', figures)
        assert found, figures
        assert int(found[1]) >= 5
