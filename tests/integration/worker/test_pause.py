"""Pauses on real servers: one partition or one script waits, and gateway, stream and audit agree on it."""

import asyncio
import json
from pathlib import Path

import httpx
import pytest
from support.events.settled import environment_of, event, fetch, produce, working
from support.processes.command import bridge
from support.processes.gateway import bearer, gateway
from support.wait import wait_until

from schemas.config.settings import Settings
from streams.audit import audit
from telemetry import metrics

BUDGET_SECONDS = 60


async def command(settings: Settings, *words: str) -> tuple[int, str]:
    done = await asyncio.to_thread(bridge, *words, settings=environment_of(settings))
    assert b"Traceback" not in done.stderr
    return done.returncode, done.stdout.decode() or done.stderr.decode()


def paused() -> float | None:
    return metrics.REGISTRY.get_sample_value("bridge_paused_partitions", {"reason": "operator"})


async def value(settings: Settings, query: str) -> int:
    return int((await fetch(settings, query))[0][0])


async def test_a_paused_partition_waits_and_the_other_goes_on(settings: Settings) -> None:
    """The pause survives a restart and shows its reason; the other partition is read.

    After the pause the worker reads on from the same offset.
    """
    pause = ("--partition", "0", "--reason", "ticket 12")
    assert await command(settings, "pause", "start", *pause) == (0, f"partition {settings.topics.raw}:0: paused\n")
    await produce(settings, [event(number) for number in range(40)])
    rows = "SELECT count(*) FROM bridge_event"
    for _ in range(2):
        async with working(settings):
            await wait_until(
                lambda: _is(settings, rows, 20), budget_seconds=BUDGET_SECONDS, describe="the other partition's rows"
            )
            code, shown = await command(settings, "offsets", "show", "--json-output", "-")
            held = {one["partition"]: one["held"] for one in json.loads(shown) if one["topic"] == settings.topics.raw}
            assert (code, held[1]) == (0, None)
            assert held[0].startswith("paused by ")
            assert held[0].endswith(": ticket 12")
            await wait_until(lambda: paused() == 1, budget_seconds=BUDGET_SECONDS, describe="the lane to pause")
        assert paused() == 0, "a worker that has ended"
    code, shown = await command(settings, "process", "--limit", "100", "--json-output", "-")
    warnings = json.loads(shown)["warnings"]
    assert warnings[0].startswith(f"{settings.topics.raw}:0 was not read: paused by "), warnings
    assert await value(settings, rows) == 20
    async with working(settings):
        assert (await command(settings, "pause", "end", *pause))[0] == 0
        await wait_until(lambda: _is(settings, rows, 40), budget_seconds=BUDGET_SECONDS, describe="all rows")
    report = await audit(settings)
    assert report.balanced, report.problems


@pytest.mark.parametrize("what", [("--script", "s1"), ("--site", "1")])
async def test_events_of_a_paused_script_wait(
    settings: Settings, key: str, tmp_path: Path, what: tuple[str, str]
) -> None:
    """The gateway answers 503 for a paused script, its events in Kafka wait, and other scripts' events become rows."""
    rows = "SELECT count(*) FROM bridge_event"
    with gateway(settings, tmp_path / "log") as running:
        async with (
            working(settings) as worker,
            httpx.AsyncClient(base_url=running.url, headers=bearer(key)) as client,
        ):

            async def posted(status: int) -> bool:
                answer = await client.post("/api/bridge/s1/events", content=event(100))
                if answer.status_code == 503:
                    assert answer.json()["error_code"] == "script_paused"
                    assert int(answer.headers["retry-after"]) > 0
                return answer.status_code == status

            assert (await command(settings, "pause", "start", *what, "--reason", "ticket 12"))[0] == 0
            await wait_until(lambda: posted(503), budget_seconds=BUDGET_SECONDS, describe="the gateway's refusal")
            knows = lambda: worker._registry.current["s1"].paused  # noqa: E731
            await wait_until(knows, budget_seconds=BUDGET_SECONDS, describe="the worker's copy of the registry")
            await produce(settings, [event(number) for number in range(30)] + [event(0, event_id="x", event_type="")])
            await wait_until(lambda: _is(settings, rows, 20), budget_seconds=BUDGET_SECONDS, describe="others' rows")
            # max_retries is two: retries during a pause don't count.
            tries = "SELECT coalesce(min(retry_count), 0) FROM bridge_event_raw WHERE error_class = 'script_paused'"
            await wait_until(lambda: _is(settings, tries, 4), budget_seconds=BUDGET_SECONDS, describe="some retries")
            assert await value(settings, "SELECT count(*) FROM bridge_event_raw WHERE NOT normalized") == 11
            report = await audit(settings)
            assert report.balanced, report.problems
            assert (await command(settings, "pause", "end", *what, "--reason", "mended"))[0] == 0
            await wait_until(lambda: _is(settings, rows, 30), budget_seconds=BUDGET_SECONDS, describe="all rows")
            broken = "SELECT count(*) FROM bridge_event_raw WHERE dropped_reason = 'schema_violation'"
            await wait_until(lambda: _is(settings, broken, 1), budget_seconds=BUDGET_SECONDS, describe="the broken one")
            await wait_until(lambda: posted(202), budget_seconds=BUDGET_SECONDS, describe="the gateway to take it")
    report = await audit(settings)
    assert report.balanced, report.problems


async def _is(settings: Settings, query: str, least: int) -> bool:
    return await value(settings, query) >= least


async def test_what_cannot_be_paused_is_said(settings: Settings) -> None:
    """Each mistake gives one line and pauses nothing; the history records who paused what and why."""
    for words, says in (
        (("--partition", "99"), f"Kafka has no {settings.topics.raw}:99"),
        (("--script", "nobody"), "script nobody is not registered"),
        (("--site", "77"), "site 77 is not registered"),
        (("--org", "77"), "org 77 is not registered"),
        ((), "give exactly one of --partition, --script, --site and --org"),
        (("--site", "1", "--org", "1"), "give exactly one of --partition, --script, --site and --org"),
    ):
        code, shown = await command(settings, "pause", "start", *words, "--reason", "r")
        assert (code != 0, says in shown) == (True, True), shown
    assert await command(settings, "pause", "list", "--json-output", "-") == (0, "[]\n")
    assert await command(settings, "pause", "start", "--org", "1", "--reason", "r") == (0, "org 1: paused\n")
    assert await command(settings, "pause", "start", "--org", "1", "--reason", "s") == (0, "org 1: is paused already\n")
    _, shown = await command(settings, "pause", "list", "--json-output", "-")
    (one,) = json.loads(shown)
    assert (one["kind"], one["target"], one["reason"]) == ("org", "1", "r")
    assert await command(settings, "pause", "end", "--org", "1", "--reason", "t") == (0, "org 1: resumed\n")
    assert await command(settings, "pause", "end", "--org", "1", "--reason", "t") == (0, "org 1: is not paused\n")
    assert await value(settings, "SELECT count(*) FROM script_run WHERE script LIKE 'pause-%' AND exit_code = 0") == 4
