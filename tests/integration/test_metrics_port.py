"""The worker's port for figures: the one that scrapers expect, told in one line, and a plain error if it is taken."""

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.command import bridge, words
from support.programs import environment, run
from support.settled import environment_of, prepare, settings_for
from support.wait import wait_until

from bridge.stack.ports import choose
from schemas.settings import Settings


def test_the_default_is_what_image_and_scrapers_have() -> None:
    """So that a scrape configuration outlives restarts."""
    assert Settings().metrics_port == 9464


@pytest.mark.parametrize("command", ["bridge", "faust"])
async def test_a_port_that_is_taken_ends_the_start_in_one_line(
    stack, database_url: str, topic_prefix: str, command: str
) -> None:
    """Which, and what to set instead."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        given = environment_of(settings, BRIDGE_METRICS_PORT=str(port))
        if command == "bridge":
            done = await asyncio.to_thread(bridge, "worker", settings=given)
            code, told = done.returncode, done.stderr.decode()
        else:
            program = str(Path(sys.executable).parent / "faust")
            ended = await asyncio.to_thread(run, [program, "-A", "streams.app", "worker"], changed=given)
            code, told = ended.returncode, ended.stderr

    assert code == 3, told
    errors = [line for line in told.splitlines() if line.startswith("error: ")]
    assert errors == [line for line in errors if f"127.0.0.1:{port}" in line and "BRIDGE_METRICS_PORT" in line]
    assert len(errors) == 1, told
    assert "Traceback" not in told


async def test_the_port_is_told_in_one_line(stack, database_url: str, topic_prefix: str, tmp_path: Path) -> None:
    """With the address to scrape."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    port = choose(asked=None, remembered=None, taken=(), purpose="the metrics'")
    given = environment_of(settings, BRIDGE_METRICS_PORT=str(port), BRIDGE_LOG_FORMAT="json")
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        worker = subprocess.Popen(words("worker"), env=environment(given), stdout=output, stderr=output)
    try:
        await wait_until(
            lambda: "worker_started" in log.read_text() or worker.poll() is not None,
            budget_seconds=60,
            describe=log.read_text,
        )
    finally:
        worker.terminate()
        await asyncio.to_thread(worker.wait, 60)
    assert log.read_text().count(f"http://127.0.0.1:{port}/metrics") == 1
