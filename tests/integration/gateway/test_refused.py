"""Refused requests are visible in the gateway's log, in `bridge refused` and in `bridge doctor`."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.events.settled import environment_of
from support.processes.command import bridge, bridge_text
from support.processes.gateway import Gateway, bearer, body, free_port, gateway
from support.wait import wait_until

from schemas.config.settings import Settings
from sinks.postgres.registry.admin import set_enabled

DISABLED, EVENTS = "/api/bridge/s3/events", "/api/bridge/s1/events"
NAMED = "/api/bridge/shop%1B%5B31m-typo/events"


@pytest.fixture
async def settings(settings: Settings) -> Settings:
    """One script is disabled, and the gateway's port is known beforehand."""
    settings = settings.model_copy(update={"gateway_port": free_port()})
    await set_enabled(settings.dsn, "s3", enabled=False)
    return settings


@pytest.fixture(params=[1, 2], ids=["one process", "two processes"])
def running(request: pytest.FixtureRequest, settings: Settings, key: str, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway on that port that knows the key."""
    assert key
    with gateway(
        settings, tmp_path / "gateway.log", gateway_port=settings.gateway_port, gateway_processes=request.param
    ) as found:
        yield found


def variables(settings: Settings) -> dict[str, str]:
    return environment_of(settings, BRIDGE_GATEWAY_PORT=str(settings.gateway_port))


def told(found: Gateway) -> list[dict[str, Any]]:
    """The log's lines of refused requests."""
    lines = [json.loads(line) for line in found.log.read_text().splitlines()]
    return [line for line in lines if line["event"].endswith("requests_refused")]


async def send(found: Gateway, key: str) -> None:
    """Send 170 requests for a disabled script, 3 for one that is not registered, and others."""
    async with httpx.AsyncClient(base_url=found.url, timeout=20) as client:
        for _ in range(170):
            assert (await client.post(DISABLED, content=body({}, {}))).status_code == 403
        for _ in range(3):
            assert (await client.post(NAMED, content=b"{}")).status_code == 404
        assert (await client.post("/api/events", content=b"{}")).status_code == 404
        assert (await client.post(EVENTS, content=body(*[{}] * 501), headers=bearer(key))).status_code == 413
        assert (await client.post(EVENTS, content=b"{}", headers=bearer(key))).status_code == 202


async def test_refusals_are_in_the_log_the_command_and_the_doctor(
    running: Gateway, settings: Settings, key: str
) -> None:
    """Script, site and number are shown for all processes together; the log has a line per reason, not per request."""
    await send(running, key)
    await wait_until(
        lambda: (
            {line["error_code"] for line in told(running)}
            == {"script_disabled", "unknown_script", "not_found", "too_many_events"}
        ),
        budget_seconds=30,
        describe=lambda: running.log.read_text()[-2000:],
    )

    asked = await bridge_text("refused", "--json-output", "-", settings=variables(settings))
    assert asked.returncode == 0, asked.stderr
    document = json.loads(asked.stdout)
    assert document["url"] == running.url
    assert [tuple(one.values()) for one in document["refused"]] == [
        ("script_disabled", 403, "3", "s3", 170, 0),
        ("unknown_script", 404, "unknown", "unknown", 3, 0),
        ("not_found", 404, "unknown", "unknown", 1, 0),
        ("too_many_events", 413, "1", "s1", 1, 0),
    ]
    shown = await bridge_text("refused", "--url", running.url, settings={})
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"^script_disabled +403 +3 +s3 +170 *$", shown.stdout, re.MULTILINE)

    doctor = await bridge_text("doctor", settings=variables(settings))
    found = [line for line in doctor.stdout.splitlines() if line.startswith("warn  gateway")]
    assert len(found) == 2, doctor.stdout
    assert "script s3 (site 3) is disabled, and " in found[0]
    assert "refused 170 requests" in found[0]
    assert "bridge refused" in found[0]
    assert "3 requests of scripts that are not registered" in found[1]

    assert running.stop() == 0
    lines = told(running)
    # Each process logs a reason immediately, and the remaining count at its end.
    assert len(lines) <= 4 * 2 * 2
    disabled = [line for line in lines if line["error_code"] == "script_disabled"]
    assert sum(line["requests"] for line in disabled) == 170
    assert {(one["level"], one["status_code"], one["site"], one["script"]) for one in disabled} == {
        ("warning", 403, "3", "s3")
    }
    strangers = [line for line in lines if line["script"] == "unknown"]
    assert {line["level"] for line in strangers} == {"info"}
    assert {line.get("script_named") for line in strangers} == {"shop\x1b[31m-typo", None}
    (of_server,) = (line for line in lines if line["event"] == "server_requests_refused")
    assert (of_server["error_code"], of_server["script"], of_server["requests"]) == ("too_many_events", "s1", 1)


async def test_doctor_and_command_of_a_script_that_is_enabled_again(running: Gateway, settings: Settings) -> None:
    """The doctor's check is ok once the script is enabled."""
    async with httpx.AsyncClient(base_url=running.url, timeout=20) as client:
        assert (await client.post(DISABLED, content=b"{}")).status_code == 403
    await set_enabled(settings.dsn, "s3", enabled=True)
    doctor = await bridge_text(
        "doctor", "--url", running.url, settings=environment_of(settings, BRIDGE_GATEWAY_PORT="0")
    )
    (line,) = (one for one in doctor.stdout.splitlines() if one.startswith(("ok    gateway", "warn  gateway")))
    assert line.startswith("ok    gateway   refused"), line


@pytest.mark.parametrize(
    ("options", "port", "said"),
    [
        ("", "1", "no gateway answers at http://127.0.0.1:1/metrics"),
        ("", "0", "BRIDGE_GATEWAY_PORT is 0"),
        ("--url ftp://127.0.0.1:1", "1", "--url: invalid; give a gateway's address as http://host:port"),
        ("--url http://me:not-to-be-told@127.0.0.1:1", "1", "without credentials"),
    ],
)
def test_no_gateway_is_exit_code_3(options: str, port: str, said: str) -> None:
    """The error is one line without the URL's credentials."""
    done = bridge("refused", *options.split(), settings={"BRIDGE_GATEWAY_PORT": port})
    (line,) = done.stderr.decode().splitlines()
    assert done.returncode == 3
    assert line.startswith(f"error: {said}" if said != "without credentials" else "error: --url: ")
    assert said in line
    assert "not-to-be-told" not in line
    assert done.stdout == b""
