"""The Python client against the real gateway and Kafka: accepted events arrive, also after kills."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.events.settled import fetch, working
from support.processes.gateway import raw_records
from support.processes.programs import CHECKOUT, environment
from support.processes.restarts import RestartedGateway
from support.wait import wait_until

from bridge.client import BridgeClient, NotDelivered, Options
from schemas.config.settings import Settings

# Prints each event's id once the client has accepted it, and exits when all are delivered.
SENDING = """
import sys
from bridge.client import BlockingBridgeClient, Options
url, key, spool, first, last = sys.argv[1:]
with BlockingBridgeClient(url, "s1", key, Options(spool=spool, batch_events=50)) as client:
    for number in range(int(first), int(last)):
        print(client.track("click", {"number": number}), flush=True)
    client.close(120)
"""


@pytest.fixture
def gateway(settings: Settings, key: str, tmp_path: Path) -> Iterator[RestartedGateway]:
    """A gateway that is not started yet and will know the key."""
    made = RestartedGateway(settings, tmp_path)
    yield made
    made.stop()


async def test_events_arrive_under_their_ids(settings: Settings, key: str, gateway: RestartedGateway) -> None:
    """Each event arrives once, under the key of the contract, in batches."""
    gateway.start()
    async with BridgeClient(gateway.url, "s1", key) as client:
        ids = [await client.track("click", {"number": number}) for number in range(1234)]
        await client.flush()
    records = await raw_records(settings)

    assert sorted(record.key.decode() for record in records) == sorted(f"1:{one}" for one in ids)


async def test_the_gateways_refusals_are_understood(settings: Settings, key: str, gateway: RestartedGateway) -> None:
    """A wrong key and an unknown script raise NotDelivered with the gateway's error code."""
    gateway.start()
    for script, shown, code in (
        ("s1", "sk_nonsense", "token_forged"),
        ("s2", key, "token_wrong_script"),
        ("none", key, "unknown_script"),
    ):
        async with BridgeClient(gateway.url, script, shown) as client:
            await client.track("click")
            with pytest.raises(NotDelivered) as caught:
                await client.flush()
            assert [one.error_code for one in caught.value.undelivered] == [code]
    assert await raw_records(settings) == []


async def test_a_rate_limit_is_kept_to(settings: Settings, key: str, tmp_path: Path) -> None:
    """The client waits as long as the gateway's 429 asks; every event arrives once."""
    limited = RestartedGateway(settings, tmp_path, gateway_script_events_per_second=100)
    limited.start()
    try:
        async with BridgeClient(limited.url, "s1", key, Options(batch_events=50)) as client:
            ids = [await client.track("click") for _ in range(400)]
            await client.flush(60)
    finally:
        limited.stop()

    assert sorted(json.loads(record.value)["event_id"] for record in await raw_records(settings)) == sorted(ids)


async def test_what_was_taken_outlives_client_and_gateway(
    settings: Settings, key: str, gateway: RestartedGateway, tmp_path: Path
) -> None:
    """Client and gateway are killed under load; every id that the client returned becomes exactly one row."""
    gateway.start()
    taken: list[str] = []
    spool = tmp_path / "spool"
    first, last = sender(gateway.url, key, spool, 0, 100_000), None
    with first:
        assert first.stdout is not None
        while len(taken) < 2000:
            taken.append((await asyncio.to_thread(first.stdout.readline)).decode().strip())
        gateway.kill()
        while len(taken) < 3000:
            taken.append((await asyncio.to_thread(first.stdout.readline)).decode().strip())
        os.killpg(first.pid, signal.SIGKILL)
        rest = await asyncio.to_thread(first.stdout.read)
        # The kill may have cut off the last line; only whole lines count.
        taken += [line.decode() for line in rest.splitlines(keepends=True) if line.endswith(b"\n")]
    taken = [one.strip() for one in taken]
    gateway.start()
    last = sender(gateway.url, key, spool, 100_000, 100_500)
    said, errors = await asyncio.to_thread(last.communicate, None, 150)
    assert last.returncode == 0, errors
    taken += said.decode().split()
    assert not list(spool.glob("*.events"))

    published = {json.loads(record.value)["event_id"] for record in await raw_records(settings)}
    assert set(taken) - published == set()
    async with working(settings):
        await wait_until(lambda: rows(settings, taken), budget_seconds=60, describe=f"{len(taken)} rows")
    found = Counter(row["event_id"] for row in await fetch(settings, "SELECT event_id FROM bridge_event"))
    assert set(taken) <= set(found)
    assert set(found.values()) == {1}


def sender(url: str, key: str, spool: Path, first: int, last: int) -> "subprocess.Popen[bytes]":
    """A separate process that sends events."""
    return subprocess.Popen(
        [sys.executable, "-c", SENDING, url, key, str(spool), str(first), str(last)],
        cwd=CHECKOUT,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


async def rows(settings: Settings, ids: list[str]) -> bool:
    """Whether each of these ids is persisted."""
    statement = "SELECT count(DISTINCT event_id) FROM bridge_event WHERE event_id = ANY($1)"
    return bool((await fetch(settings, statement, ids))[0][0] == len(set(ids)))
