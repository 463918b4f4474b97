"""`bridge top`: a running stream, once as text or JSON and live on a terminal, and one line for a missing service."""

import asyncio
import contextlib
import json
import os
import pty
import re
import signal
import subprocess
from collections.abc import AsyncIterator

import pytest
from support.events.settled import environment_of, event, fetch, prepare, produce, settings_for, working
from support.infrastructure.databases import beside
from support.processes.command import bridge, words
from support.processes.programs import environment
from support.wait import wait_until

from schemas.config.settings import Settings

TIERS = ("60s", "120s")


@pytest.fixture
async def settings(stack, database_url: str, topic_prefix: str) -> Settings:
    made = settings_for(stack.kafka, database_url, topic_prefix, retry_delays=TIERS, gate_min_processed=1)
    await prepare(made)
    return made


@pytest.fixture
async def load(settings: Settings) -> AsyncIterator[None]:
    """A worker, and a constant flow of events: valid, broken, and of an unknown script."""
    ended = False

    async def keep_sending() -> None:
        number = 0
        while not ended:
            sound = [event(number + one) for one in range(20)]
            await produce(settings, [*sound, event(number, event_type=""), event(number, script_id="nobody")])
            number += 20

    async with working(settings):
        sending = asyncio.create_task(keep_sending())
        waiting = "SELECT 1 FROM bridge_event_raw WHERE NOT normalized"
        await wait_until(lambda: fetch(settings, waiting), budget_seconds=40, describe="a waiting retry")
        yield
        # Not cancelled: a producer that is cancelled while it connects leaves its connection open.
        ended = True
        await sending


async def test_it_is_shown_once_without_a_terminal(settings: Settings, load: None) -> None:
    """Rates, lag, the worker's lanes, retries by tier, due retries, dead letters, the verdict and the breaker."""
    await fetch(
        settings, "UPDATE bridge_event_raw SET next_retry_at = now() - interval '1 minute' WHERE NOT normalized"
    )
    own = environment_of(settings, BRIDGE_GATE_MIN_PROCESSED="1")
    told = await asyncio.to_thread(bridge, "top", "--interval", "1s", "--json-output", "-", settings=own)
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)

    assert found["per_second"]["normalized"] > 0
    assert found["per_second"]["dropped"] > 0
    assert set(found["lag"]) == {settings.topics.raw, *settings.topics.retries}
    (worker,) = found["workers"]
    assert worker["partitions"] == 6
    assert worker["lanes"] == 2
    assert worker["per_second"] == pytest.approx(sum(found["per_second"].values()), abs=1)
    first, second = found["retry_tiers"]
    assert (first["tier"], second["tier"]) == TIERS
    assert first["waiting"] >= first["due"] > 0
    assert first["longest_due_seconds"] > 30
    assert (second["waiting"], second["due"]) == (0, 0)
    assert found["dead_letters_open"]["schema_violation"] > 0
    (total,) = [one for one in found["windows"] if one["target"] == "total"]
    assert (total["passed"], total["processed"] > 0) == (False, True)
    assert found["brake"]["engaged"] is False

    plain = await asyncio.to_thread(bridge, "top", "--interval", "200ms", settings=own)
    text = plain.stdout.decode()
    assert plain.returncode == 0, plain.stderr
    assert "\x1b" not in text
    for part in (
        r"a second: normalized [\d,.]+  retried",
        "dead letters open: schema_violation",
        "brake: off",
        "60s ",
        "FAIL",
    ):
        assert re.search(part, text), text


async def test_it_is_live_on_a_terminal(settings: Settings, load: None) -> None:
    """The values change; an outage of Postgres is shown beside the last values; Ctrl-C exits with 0."""
    ours, theirs = pty.openpty()
    own = environment(environment_of(settings) | {"TERM": "xterm", "COLUMNS": "120", "LINES": "60"})
    shown = subprocess.Popen(words("top", "--interval", "300ms"), env=own, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.set_blocking(ours, False)
    seen = ""

    def read(pattern: str) -> list[str]:
        nonlocal seen
        with contextlib.suppress(BlockingIOError):
            seen += os.read(ours, 1 << 16).decode("utf-8", "replace")
        return re.findall(pattern, seen)

    try:
        await wait_until(
            lambda: len(set(read(r"normalized ([\d,.]+)"))) > 2, budget_seconds=40, describe=lambda: seen[-3000:]
        )
        name = (await fetch(settings, "SELECT current_database()"))[0][0]
        elsewhere = settings.model_copy(update={"database_url": type(settings.database_url)(beside(settings.dsn))})
        await fetch(elsewhere, f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        try:
            await wait_until(
                lambda: read("not renewed: Postgres refuses a needed operation"),
                budget_seconds=40,
                describe=lambda: seen[-3000:],
            )
        finally:
            await fetch(elsewhere, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        shown.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(shown.wait, 20) == 0
    finally:
        shown.kill()
        shown.wait(10)
        os.close(ours)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"BRIDGE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}, "Postgres is away"),
        ({"BRIDGE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}, "Kafka at 127.0.0.1:1 does not answer"),
    ],
)
async def test_away_is_one_line(settings: Settings, changed: dict[str, str], said: str) -> None:
    """Exit code 3, one line with the service and the remedy, and the other service's values on standard output."""
    # A partition, so that Kafka is asked for its lag.
    await fetch(
        settings,
        "INSERT INTO stream_offset (group_id, topic, partition, base_offset, next_offset) VALUES ($1, $2, 0, 0, 0)",
        settings.group, settings.topics.raw,
    )  # fmt: skip
    told = await asyncio.to_thread(bridge, "top", settings=environment_of(settings) | changed)

    assert told.returncode == 3
    assert said in told.stderr.decode()
    assert len(told.stderr.decode().strip().splitlines()) == 1
    shown = told.stdout.decode()
    assert shown.startswith(f"not shown: {said}")
    assert ("brake: off" in shown) == ("lag in records: unknown" in shown) == ("BRIDGE_DATABASE_URL" not in changed)


async def test_kafkas_lag_is_shown_while_postgres_is_away(settings: Settings) -> None:
    """Without Postgres the lag is that of the offsets committed to Kafka."""
    await produce(settings, [event(number) for number in range(30)])
    own = environment_of(settings, BRIDGE_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    told = await asyncio.to_thread(bridge, "top", "--json-output", "-", settings=own)

    found = json.loads(told.stdout)
    assert told.returncode == 3
    assert found["lag"][settings.topics.raw] == 30
    assert found["trouble"].startswith("Postgres is away")
