"""The worker's metrics port: the default that scrapers expect, logged in one line, and a plain error if it is taken."""

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.events.settled import environment_of, prepare, settings_for
from support.processes.command import bridge, words
from support.processes.programs import environment, python, run
from support.wait import wait_until

from bridge.dev.stack.ports import choose
from schemas.config.settings import Settings


def test_the_default_is_what_image_and_scrapers_have() -> None:
    """A fixed default keeps a scrape configuration valid across restarts."""
    assert Settings().metrics_port == 9464


@pytest.mark.parametrize("command", ["bridge", "faust"])
async def test_a_port_that_is_taken_ends_the_start_in_one_line(
    stack, database_url: str, topic_prefix: str, command: str
) -> None:
    """The error names the taken port and the setting to change."""
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


async def test_of_two_starts_in_one_instant_one_gets_the_port(
    stack, database_url: str, topic_prefix: str, tmp_path: Path
) -> None:
    """One worker starts, and the other exits with 3 as for any taken port."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    port = choose(asked=None, remembered=None, taken=(), purpose="the metrics'")
    given = environment_of(settings, BRIDGE_METRICS_PORT=str(port))
    logs = [tmp_path / "a.log", tmp_path / "b.log"]
    workers = []
    for log in logs:
        with log.open("wb") as output:
            workers.append(subprocess.Popen(words("worker"), env=environment(given), stdout=output, stderr=output))
    try:
        await wait_until(
            lambda: (
                any(one.poll() is not None for one in workers)
                and any("worker_started" in log.read_text() for log in logs)
            ),
            budget_seconds=90,
            describe=lambda: "\n".join(log.read_text() for log in logs),
        )
    finally:
        for one in workers:
            one.terminate()
            await asyncio.to_thread(one.wait, 60)
    assert sorted(one.returncode for one in workers) == [0, 3]
    refused = next(log for one, log in zip(workers, logs, strict=True) if one.returncode == 3).read_text()
    assert [line for line in refused.splitlines() if line.startswith("error: ") and f"127.0.0.1:{port}" in line]
    assert "Traceback" not in refused


def test_a_port_is_taken_by_the_start_that_looks_at_it() -> None:
    """The port is bound when it is checked, seconds before it serves."""
    code = """
from schemas.errors import PreconditionFailed
from schemas.config.settings import load_settings
from streams.faust_host.app import create_app

first = create_app(load_settings())
try:
    create_app(load_settings())
except PreconditionFailed as error:
    print(error)
"""
    port = choose(asked=None, remembered=None, taken=(), purpose="the metrics'")
    done = run(
        python(code),
        changed={
            "BRIDGE_METRICS_PORT": str(port), "BRIDGE_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "BRIDGE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        },
    )  # fmt: skip
    assert f"127.0.0.1:{port}" in done.stdout, done.stderr


async def test_the_port_is_told_in_one_line(stack, database_url: str, topic_prefix: str, tmp_path: Path) -> None:
    """The log has one line with the address to scrape."""
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
