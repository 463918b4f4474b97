"""The fields by which operators search the log: of a run, of its targets, and of a gateway's request."""

import asyncio
import json
from pathlib import Path

import httpx
from support.events.settled import environment_of, event, produce
from support.processes.command import bridge
from support.processes.gateway import bearer, gateway

from schemas.config.settings import Settings

JSON = {"BRIDGE_LOG_FORMAT": "json"}


def lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


async def test_a_run_is_in_each_of_its_lines(settings: Settings, tmp_path: Path) -> None:
    """All lines have run, script and service; the end of a target or run has status and elapsed_ms."""
    await produce(settings, [event(number) for number in range(6)])
    words = ("process", "--json-output", str(tmp_path / "summary.json"))
    done = await asyncio.to_thread(bridge, *words, settings=environment_of(settings, **JSON))
    assert done.returncode == 0, done.stderr
    run_id = json.loads((tmp_path / "summary.json").read_text())["run_id"]
    found = lines(done.stderr.decode())

    for line in found:
        assert line | {"run_id": run_id, "script": "process", "service": "bridge"} == line
        assert {"timestamp", "level", "logger", "event"} <= line.keys()
    targets = [line for line in found if line["event"] == "target_done"]
    assert {line["target"] for line in targets} == {f"{settings.topics.raw}:0", f"{settings.topics.raw}:1"}
    for line in [*targets, found[-1]]:
        assert line["status"] == "succeeded"
        assert isinstance(line["elapsed_ms"], int)


async def test_a_request_is_in_its_lines(settings: Settings, key: str, tmp_path: Path) -> None:
    """The lines have the ids of the answer, the request, the status and the elapsed time."""
    log = tmp_path / "log"
    with gateway(settings, log, gateway_access_log="true") as running:
        async with httpx.AsyncClient(base_url=running.url) as client:
            body = json.dumps([{"event_type": "click"}]).encode()
            first = await client.post("/api/bridge/s1/events", content=body, headers=bearer(key))
            second = await client.post(
                "/api/bridge/s1/events", content=body, headers={"x-request-id": "mine", "x-correlation-id": "ours"}
            )
        assert running.stop() == 0
    requests = [line for line in lines(log.read_text()) if line["event"] == "request" and line["method"] == "POST"]

    assert [(one["status_code"], one["error_code"]) for one in requests] == [(202, None), (401, "token_missing")]
    for line, answer in zip(requests, (first, second), strict=True):
        assert line["request_id"] == answer.headers["x-request-id"]
        assert line["trace_id"] == answer.headers["x-trace-id"]
        assert line | {"path": "/api/bridge/s1/events", "service": "bridge-gateway"} == line
        assert isinstance(line["duration_ms"], float)
    assert requests[0]["correlation_id"] == requests[0]["request_id"]
    assert (requests[1]["request_id"], requests[1]["correlation_id"]) == ("mine", "ours")
