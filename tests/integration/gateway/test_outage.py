"""The gateway while its services fail: no accepted event is lost, no false 202, and bounded memory."""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest
from support.infrastructure.servers import stack_directory
from support.processes.gateway import bearer, gateway, raw_records
from support.wait import wait_until

from schemas.config.settings import Settings
from sinks.postgres.tokens.script_tokens import create_token
from tools.faults.servers import Servers, prepared_servers

EVENTS = "/api/bridge/s1/events"
PAD = "x" * 500


@pytest.fixture
async def own() -> AsyncIterator[tuple[Servers, Settings, str]]:
    """Servers of this test alone, which it may kill, settings, and an API key."""
    with stack_directory() as directory:
        async with prepared_servers(directory, "outage.") as (servers, settings):
            yield servers, settings, (await create_token(settings.dsn, "s1")).text


class Sender:
    """Post batches without a pause; record the accepted ids and the status of every refusal."""

    def __init__(self, url: str, key: str, name: str) -> None:
        self.url = url
        self.key = key
        self.name = name
        self.accepted: set[str] = set()
        self.refusals: list[int] = []
        self.stopping = False

    async def run(self) -> None:
        number = 0
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as client:
            while not self.stopping:
                ids = [f"{self.name}-{number}-{index}" for index in range(20)]
                number += 1
                content = json.dumps([{"event_id": one, "pad": PAD} for one in ids]).encode()
                answer = await client.post(EVENTS, content=content, headers=bearer(self.key))
                if answer.status_code == 202:
                    self.accepted.update(ids)
                else:
                    self.refusals.append(answer.status_code)
                    assert "retry-after" in answer.headers, answer.text
                    await asyncio.sleep(0.02)


async def test_no_accepted_event_is_lost_when_kafka_is_killed(
    own: tuple[Servers, Settings, str], tmp_path: Path
) -> None:
    """Kafka is killed twice under load: answers come within 2.5 seconds, and the events of every 202 are in Kafka."""
    servers, settings, key = own
    with gateway(
        settings, tmp_path / "log", cold=True, gateway_script_events_per_second=0, gateway_org_events_per_second=0
    ) as running:
        senders = [Sender(running.url, key, f"s{number}") for number in range(6)]
        tasks = [asyncio.create_task(one.run()) for one in senders]
        try:
            for _ in range(2):
                await _more(senders, _total, 500, "events accepted")
                servers.signal("kafka", signal.SIGKILL)
                await _more(senders, _refused, 50, "refusals while Kafka is away")
                assert (await _ready(running.url))[0] == 503
                await servers.start_kafka()
                await wait_until(lambda: _ready_now(running.url), budget_seconds=60, describe="ready again")
            await _more(senders, _total, 500, "events accepted again")
        finally:
            for one in senders:
                one.stopping = True
            await asyncio.gather(*tasks)
        assert set(_refusals(senders)) == {503}
        # By the gateway's own metric: the senders share the CPU with a starting broker.
        assert await _answered(running.url, "2.5") == await _answered(running.url, "+Inf") > len(_refusals(senders))
        assert running.memory_mb(most=True) < 300
        assert running.stop() == 0
    written = {json.loads(record.value)["event_id"] for record in await raw_records(settings)}
    accepted = set().union(*(one.accepted for one in senders))
    assert len(accepted) > 1500
    assert accepted <= written


async def _more(senders: list[Sender], count: Callable[[list[Sender]], int], by: int, what: str) -> None:
    """Wait until the count has grown by so much."""
    before = count(senders)
    await wait_until(lambda: count(senders) > before + by, budget_seconds=60, describe=what)


def _refused(senders: list[Sender]) -> int:
    return len(_refusals(senders))


def _total(senders: list[Sender]) -> int:
    return sum(len(one.accepted) for one in senders)


def _refusals(senders: list[Sender]) -> list[int]:
    return [refusal for one in senders for refusal in one.refusals]


async def _answered(url: str, seconds: str) -> float:
    """The number of batches answered within so many seconds."""
    async with httpx.AsyncClient() as client:
        figures = (await client.get(f"{url}/metrics", timeout=30)).text
    bucket = rf'bridge_gateway_request_seconds_bucket\{{le="{re.escape(seconds)}",route="events"\}} (\S+)'
    found = re.search(bucket, figures)
    assert found, figures
    return float(found[1])


async def _ready(url: str) -> tuple[int, dict[str, object]]:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"{url}/ready", timeout=30)
        return answer.status_code, answer.json()


async def _ready_now(url: str) -> bool:
    return (await _ready(url))[0] == 200


async def test_the_registry_away_degrades_only(own: tuple[Servers, Settings, str], tmp_path: Path) -> None:
    """With Postgres killed, events are accepted by the registry copy in memory, and /ready is degraded."""
    servers, settings, key = own
    with gateway(settings, tmp_path / "log") as running:
        servers.signal("postgres", signal.SIGKILL)

        async def degraded() -> bool:
            status, told = await _ready(running.url)
            return (status, told["status"], told["state"]) == (200, "ready", "degraded")

        await wait_until(degraded, budget_seconds=60, describe="degraded")
        async with httpx.AsyncClient(base_url=running.url) as client:
            assert (await client.post(EVENTS, content=b"{}", headers=bearer(key))).status_code == 202
        assert running.stop() == 0


@pytest.mark.parametrize("processes", [1, 2])
async def test_sigterm_answers_what_was_begun(
    own: tuple[Servers, Settings, str], tmp_path: Path, processes: int
) -> None:
    """No request in flight under load is cut off, and accepted events are in Kafka."""
    _, settings, key = own
    unlimited = {
        "gateway_script_events_per_second": 0,
        "gateway_org_events_per_second": 0,
        "gateway_processes": processes,
    }
    with gateway(settings, tmp_path / "log", **unlimited) as running:
        senders = [Sender(running.url, key, f"d{number}") for number in range(6)]
        tasks = [asyncio.create_task(one.run()) for one in senders]
        await wait_until(lambda: _total(senders) > 300, budget_seconds=60, describe="events accepted")
        assert await asyncio.to_thread(running.stop) == 0
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    # Later connections are refused; no answer was cut off.
    refused = (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError)
    assert [one for one in ended if not isinstance(one, refused)] == [], (tmp_path / "log").read_text()[-8000:]
    written = {json.loads(record.value)["event_id"] for record in await raw_records(settings)}
    accepted = set().union(*(one.accepted for one in senders))
    assert accepted <= written
    assert len(written - accepted) <= 20 * len(senders)


async def test_a_request_that_outlasts_the_drain_gets_503(own: tuple[Servers, Settings, str], tmp_path: Path) -> None:
    """The sender learns that the same events may be sent again; the process ends in order."""
    servers, settings, key = own
    patient = {"gateway_publish_timeout": "60s", "gateway_drain_timeout": "1s"}
    with gateway(settings, tmp_path / "log", **patient) as running:
        async with httpx.AsyncClient(base_url=running.url, timeout=60) as client:
            servers.signal("kafka", signal.SIGSTOP)
            posted = asyncio.create_task(client.post(EVENTS, content=b"{}", headers=bearer(key)))

            async def waits() -> bool:
                return (
                    re.search(r"bytes_in_flight\{.*records.*\} [1-9]", (await client.get("/metrics")).text) is not None
                )

            await wait_until(waits, budget_seconds=60, describe="the record to wait for Kafka")
            code = await asyncio.to_thread(running.stop)

            answer = await posted
        assert (answer.status_code, answer.json()["error_code"]) == (503, "overloaded")
        assert int(answer.headers["retry-after"]) > 0
        assert code == 0
