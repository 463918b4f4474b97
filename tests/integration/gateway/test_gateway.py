"""The gateway's routes over real HTTP into real Kafka: the answers, and the records in the topic."""

import asyncio
import gzip
import json
import os
import re
import signal
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
import pytest
from support.events.settled import SECRET, fetch, working
from support.processes.gateway import ORIGIN, Gateway, bearer, body, gateway, raw_records
from support.wait import wait_until

from deploy.dashboards import GATEWAY
from schemas.config.settings import Settings
from sinks.kafka.topics import apply_topics
from sinks.postgres.registry.admin import add_script, set_enabled
from sinks.postgres.tokens.script_tokens import create_token, revoke_token

EVENTS = "/api/bridge/s1/events"


@pytest.fixture
async def settings(settings: Settings) -> Settings:
    """Settings with an origin for the first script."""
    await add_script(settings.dsn, "s1", 1, origins=[ORIGIN])
    return settings


@pytest.fixture
def running(settings: Settings, key: str, tmp_path: Path) -> Iterator[Gateway]:
    """A gateway that knows the key and whose log contains no secret."""
    log = tmp_path / "gateway.log"
    with gateway(settings, log, gateway_access_log="true") as found:
        yield found
    written = log.read_text()
    assert "eyJ" not in written
    assert "sk_" not in written
    assert SECRET not in written


@pytest.fixture
async def client(running: Gateway) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the gateway."""
    async with httpx.AsyncClient(base_url=running.url, timeout=20) as made:
        yield made


def event(**fields: object) -> dict[str, object]:
    return {"event_type": "click", "occurred_at": "2026-01-01T00:00:00Z"} | fields


async def test_events_arrive_byte_for_byte_with_what_the_gateway_knows(
    client: httpx.AsyncClient, settings: Settings, key: str
) -> None:
    """Valid or not, each event has its key and the contract's headers; an id is assigned where it is missing."""
    odd = b' {"event_id" : "b",\t"x": 1.00, "event_type":"\\u0063"} '
    texts = [b'{"event_id":"a"}', odd.strip(), b'{"event_type":"click"}', b'{"event_id":"n","value":NaN}', b"[1]"]
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    given = {"x-request-id": "mine", "traceparent": trace, "origin": "https://elsewhere.example"}

    answer = await client.post(
        EVENTS, content=b"[" + b",".join([texts[0], odd, *texts[2:]]) + b"]", headers=bearer(key) | given
    )

    assert answer.status_code == 202, answer.text
    told = answer.json()
    assert (told["accepted"], told["rejected"], told["request_id"]) == (5, 0, "mine")
    assert answer.headers["x-request-id"] == "mine"
    # Without tracing, the gateway samples no trace.
    assert answer.headers["traceparent"] == trace[:-2] + "00"
    assert answer.headers["x-trace-id"] == told["trace_id"] == "trace-0af7651916cd43dd8448eb211c80319c"
    results = told["results"]
    assert [one["index"] for one in results] == [0, 1, 2, 3, 4]
    assert [one.get("id_assigned", False) for one in results] == [False, False, True, False, True]
    # The fourth is not JSON, so it has no id.
    assert [one["event_id"] for one in (results[0], results[1], results[3])] == ["a", "b", None]
    assert uuid.UUID(results[2]["event_id"]).version == 7
    found = {record.value: record for record in await raw_records(settings)}
    assert sorted(found) == sorted(texts)
    for text, result in zip(texts, results, strict=True):
        record = found[text]
        headers = dict(record.headers)
        assert record.key == (None if result["event_id"] is None else f"1:{result['event_id']}".encode())
        assert (headers["bridge-site-id"], headers["bridge-script-id"]) == (b"1", b"s1")
        assert (headers["x-request-id"], headers["traceparent"]) == (b"mine", trace[:-2].encode() + b"00")
        assert headers["x-trace-id"] == told["trace_id"].encode()
        assert abs(int(headers["bridge-received-at"]) - record.timestamp) < 60_000
        assert headers.get("bridge-event-id") == (result["event_id"].encode() if "id_assigned" in result else None)
        assert "bridge-origin" not in headers


@pytest.mark.parametrize(
    ("content", "media_type", "count"),
    [
        (b'{"event_id":"a","events":3}', "application/json", 1),
        (b'{"events":[{"event_id":"a"},{"event_id":"b"}]}', "text/plain;charset=UTF-8", 2),
        (b'{"event_id":"a"}\n\n{bad\n', "application/x-ndjson", 2),
        (gzip.compress(b'[{"event_id":"a"}]', mtime=0), "application/json", 1),
        (b"{bad", "application/json", 1),
    ],
)
async def test_every_form_of_body_is_taken(
    client: httpx.AsyncClient, settings: Settings, key: str, content: bytes, media_type: str, count: int
) -> None:
    """One event, an envelope, lines or gzip; the gateway accepts invalid events and leaves them to the stream."""
    headers = bearer(key) | {"content-type": media_type}
    if content.startswith(b"\x1f"):
        headers["content-encoding"] = "gzip"

    answer = await client.post(EVENTS, content=content, headers=headers)

    assert (answer.status_code, answer.json()["accepted"]) == (202, count), answer.text
    assert len(await raw_records(settings)) == count


async def test_from_a_browsers_token_to_a_row(client: httpx.AsyncClient, settings: Settings) -> None:
    """Preflight, token, beacon: the valid event becomes a row, the invalid one a dead letter."""
    asked = {"origin": ORIGIN, "access-control-request-method": "POST"}
    for path in ("/bridge/s1/token", EVENTS):
        allowed = await client.options(path, headers=asked)
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (204, ORIGIN)
        assert "authorization" in allowed.headers["access-control-allow-headers"]
        refused = await client.options(path, headers=asked | {"origin": "https://evil.example"})
        assert refused.status_code == 403
        assert "access-control-allow-origin" not in refused.headers

    issued = await client.post("/bridge/s1/token", headers={"origin": ORIGIN})
    assert issued.status_code == 200, issued.text
    assert issued.json()["expires_in"] == 900
    token = issued.json()["token"]
    beacon = await client.post(
        f"{EVENTS}?token={token}",
        content=json.dumps({"events": [event(event_id="seen", occurred_at=_now()), event(event_type="")]}).encode(),
        headers={"origin": ORIGIN, "content-type": "text/plain;charset=UTF-8"},
    )

    assert beacon.status_code == 202, beacon.text
    assert beacon.headers["access-control-allow-origin"] == ORIGIN
    assert dict((await raw_records(settings))[0].headers)["bridge-origin"] == ORIGIN.encode()
    async with working(settings):
        await wait_until(
            lambda: fetch(
                settings, "SELECT 1 FROM bridge_event WHERE event_id = 'seen' AND script_id = 's1' AND site_id = 1"
            ),
            budget_seconds=40,
            describe="the event's row",
        )
        await wait_until(
            lambda: fetch(settings, "SELECT 1 FROM bridge_event_raw WHERE dropped_reason = 'schema_violation'"),
            budget_seconds=40,
            describe="the broken event in the ledger",
        )


def _now() -> int:
    import time

    return time.time_ns() // 1_000_000


async def test_refusals_have_codes_and_are_counted(client: httpx.AsyncClient, settings: Settings, key: str) -> None:
    """Each is application/problem+json with the ids and counted by reason and script; nothing is published."""
    token = (await client.post("/bridge/s1/token", headers={"origin": ORIGIN})).json()["token"]
    from_shop = {"origin": ORIGIN}
    await set_enabled(settings.dsn, "s3", enabled=False)
    cases: list[tuple[str, dict[str, str], bytes, int, str]] = [
        (EVENTS, {}, b"{}", 401, "token_missing"),
        (EVENTS, bearer(token + "x") | from_shop, b"{}", 401, "token_forged"),
        (EVENTS, bearer(token) | {"origin": "https://evil.example"}, b"{}", 403, "token_wrong_origin"),
        ("/api/bridge/s2/events", bearer(token) | from_shop, b"{}", 403, "token_wrong_script"),
        ("/api/bridge/s2/events", bearer(key), b"{}", 403, "token_wrong_script"),
        ("/api/bridge/nobody/events", bearer(key), b"{}", 404, "unknown_script"),
        (EVENTS, bearer(key), b"[1,", 400, "invalid_payload_json"),
        (EVENTS, bearer(key), b"[]", 422, "no_events"),
        (EVENTS, bearer(key), body(*range(501)), 413, "too_many_events"),
        (EVENTS, bearer(key), b"x" * (1024 * 1024 + 1), 413, "body_too_large"),
        (EVENTS, bearer(key), b'{"x":"' + b"x" * (1024 * 1024 - 100), 413, "event_too_large"),
        (EVENTS, bearer(key) | {"content-encoding": "br"}, b"{}", 415, "unsupported_encoding"),
        (EVENTS, bearer(key) | {"idempotency-key": "a b"}, b"{}", 400, "invalid_header"),
        ("/bridge/s1/token", {}, b"", 403, "origin_missing"),
        ("/bridge/s1/token", {"origin": "https://evil.example"}, b"", 403, "origin_not_allowed"),
    ]
    await wait_until(
        lambda: _code(client, "/api/bridge/s3/events", bearer(key), "script_disabled"),
        budget_seconds=10,
        describe="the gateway knows that s3 is disabled",
    )
    for path, headers, content, status, code in cases:
        answer = await client.post(path, content=content, headers=headers | {"x-request-id": "mine"})
        told = answer.json()
        assert (answer.status_code, told["error_code"]) == (status, code), (path, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert set(told) == {"type", "title", "status", "error_code", "message", "detail", "trace_id", "request_id"}
        assert told["request_id"] == answer.headers["x-request-id"] == "mine"
        assert told["trace_id"] == answer.headers["x-trace-id"]
    for path, method, status in (("/nothing", "GET", 404), ("/health", "DELETE", 405), (EVENTS, "GET", 405)):
        answer = await client.request(method, path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    figures = (await client.get("/metrics")).text
    for one in ('token_wrong_origin",script="s1",site="1"', 'unknown_script",script="unknown",site="unknown"'):
        assert f'bridge_gateway_rejected_total{{error_code="{one}}} 1.0' in figures
    assert token not in figures
    assert await raw_records(settings) == []


async def _code(client: httpx.AsyncClient, path: str, headers: dict[str, str], code: str) -> bool:
    return bool((await client.post(path, content=b"{}", headers=headers)).json().get("error_code") == code)


async def test_a_large_event_among_others_is_rejected_alone(
    client: httpx.AsyncClient, settings: Settings, key: str
) -> None:
    """Only an event too large for Kafka is rejected; one beyond the stream's own limit is accepted."""
    sent = [
        event(event_id="small"),
        event(event_id="stream's", x="x" * 70_000),
        event(event_id="huge", x="x" * 900_000),
    ]
    content = body(*sent) + b" " * 10
    answer = await client.post(EVENTS, content=content, headers=bearer(key))
    assert [one["status"] for one in answer.json()["results"]] == ["accepted"] * 3, answer.text

    lines = json.dumps(sent[0]).encode() + b"\n" + b"x" * (1024 * 1024 - 16 * 1024 + 1)
    answer = await client.post(EVENTS, content=lines, headers=bearer(key) | {"content-type": "application/x-ndjson"})
    assert answer.status_code == 202
    assert [one.get("error_code") for one in answer.json()["results"]] == [None, "event_too_large"]
    assert len(await raw_records(settings)) == 4


async def test_a_revoked_key_is_refused_at_once(client: httpx.AsyncClient, settings: Settings, key: str) -> None:
    """The gateway is notified of the revocation; the script's other key stays valid."""
    other = (await create_token(settings.dsn, "s1")).text
    await wait_until(lambda: _accepted(client, other), budget_seconds=10, describe="the gateway knows the second key")
    await revoke_token(settings.dsn, "s1", key.split("_")[1])
    await wait_until(
        lambda: _code(client, EVENTS, bearer(key), "token_revoked"), budget_seconds=10, describe="the first is refused"
    )
    assert await _accepted(client, other)


async def _accepted(client: httpx.AsyncClient, key: str) -> bool:
    return (await client.post(EVENTS, content=b"{}", headers=bearer(key))).status_code == 202


async def test_validate_says_what_the_stream_would_and_publishes_nothing(
    client: httpx.AsyncClient, settings: Settings, key: str
) -> None:
    """The answer comes from the stream's own normaliser, with the fields that the gateway fills in."""
    sent = body(
        event(occurred_at=_now(), url="https://a.example/p?utm_source=x"),
        event(event_type=""),
        event(schema_version=99),
    )
    answer = await client.post(EVENTS + ":validate", content=sent, headers=bearer(key))

    assert answer.status_code == 200, answer.text
    told = answer.json()
    good, bad, odd = told["results"]
    assert (told["valid"], told["invalid"]) == (1, 2)
    assert (good["status"], good["event"]["utm_source"], good["event"]["site_id"]) == ("valid", "x", 1)
    assert (bad["error_code"], bad["action"], "event_type" in bad["message"]) == ("schema_violation", "drop", True)
    assert (odd["error_code"], odd["action"]) == ("unsupported_schema_version", "retry")
    assert await raw_records(settings) == []


async def test_health_and_documents(client: httpx.AsyncClient) -> None:
    """Health answers keep their bodies; the page loads nothing from outside and names every route."""
    assert (await client.get("/")).json() == {"status": "ok"}
    assert (await client.get("/health")).json() == {"status": "healthy"}
    ready = (await client.get("/ready")).json()
    assert (ready["status"], ready["state"], ready["environment"]) == ("ready", "healthy", "development")
    assert ready["components"] == {"kafka": "ok", "postgres": "ok", "registry": "ok"}
    document = (await client.get("/openapi.json")).json()
    page = await client.get("/docs")
    for path in document["paths"]:
        assert path in page.text
    assert not re.search(r"(src|href)=[\"']?(https?:)?//|<script|@import|url\(", page.text)
    snippet = await client.get("/bridge/s1.js")
    assert snippet.status_code == 200 or snippet.json()["error_code"] == "snippet_missing"


async def test_rates_are_limited(settings: Settings, key: str, tmp_path: Path) -> None:
    """429 has Retry-After, per script and per address."""
    with gateway(settings, tmp_path / "log", gateway_script_events_per_second=5) as found:
        async with httpx.AsyncClient(base_url=found.url) as one:
            sound = [event(occurred_at=datetime.now(UTC).isoformat())] * 10
            # An event counts by its processor time as well, and the first ones of a process load code.
            assert (await one.post(f"{EVENTS}:validate", content=body(*sound), headers=bearer(key))).status_code == 200
            both = [one.post(EVENTS, content=body(*sound), headers=bearer(key)) for _ in range(2)]
            taken, late = sorted(await asyncio.gather(*both), key=lambda answer: answer.status_code)
            assert (taken.status_code, late.status_code, late.json()["error_code"]) == (202, 429, "rate_limited")
            assert 1 <= int(late.headers["retry-after"]) <= 2
    with gateway(settings, tmp_path / "log", gateway_address_requests_per_second=1, gateway_forwarded_hops=1) as found:
        async with httpx.AsyncClient(base_url=found.url) as one:

            async def status(who: str) -> int:
                headers = {"origin": ORIGIN, "x-forwarded-for": f"9.9.9.9, {who}"}
                return (await one.post("/bridge/s1/token", headers=headers)).status_code

            # Concurrent, as the rate limiter may admit another request between sequential ones.
            statuses = sorted(await asyncio.gather(*(status("1.1.1.1") for _ in range(10))))
            assert statuses[:2] == [200, 200]
            assert statuses[-1] == 429
            assert await status("2.2.2.2") == 200


async def test_several_processes_serve_one_port(settings: Settings, key: str, tmp_path: Path) -> None:
    """All processes accept events, their metrics are merged, and SIGTERM ends them all with 0."""
    await apply_topics(settings)
    with gateway(settings, tmp_path / "log", gateway_processes=2) as found:
        for _ in range(20):
            async with httpx.AsyncClient(base_url=found.url) as one:
                answer = await one.post(EVENTS, content=b"{}", headers=bearer(key))
                assert answer.status_code == 202, answer.text
        async with httpx.AsyncClient(base_url=found.url) as one:
            assert (await one.post(EVENTS, content=b"{}")).status_code == 401
            figures = (await one.get("/metrics")).text
        assert 'bridge_gateway_events_total{outcome="accepted"} 20.0' in figures
        assert "pid=" not in figures
        shown = {
            name
            for panel in GATEWAY
            for _, query in panel.queries
            for name in re.findall(r"bridge_gateway_\w+|bridge_registry_\w+", query)
        }
        shown |= {"process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "bridge_build_info"}
        assert {name for name in shown if not re.search(rf"^{name}[ {{]", figures, re.MULTILINE)} == set()
        began = start_time(figures)
        before = serving(found)
        assert len(before) == 2
        told = {name: float(value) for name, value in re.findall(r"^(process_\w+) (\S+)$", figures, re.MULTILINE)}
        assert began == max(psutil.Process(one).create_time() for one in before)
        assert told["process_resident_memory_bytes"] > sum(psutil.Process(one).memory_info().rss for one in before)
        assert told["process_cpu_seconds_total"] > 0
        assert told["process_open_fds"] > 0
        os.kill(before[0], signal.SIGKILL)
        await wait_until(
            lambda: len(serving(found)) == 2 and before[0] not in serving(found),
            budget_seconds=60,
            describe="another process for the one that was killed",
        )
        async with httpx.AsyncClient(base_url=found.url) as one:
            assert (await one.post(EVENTS, content=b"{}", headers=bearer(key))).status_code == 202

            async def younger() -> bool:
                return start_time((await one.get("/metrics")).text) > began

            await wait_until(younger, budget_seconds=60, describe="the start of the process that came for it")
        assert found.stop() == 0


def start_time(figures: str) -> float:
    """The latest start of the processes, by which a restart is noticed."""
    (found,) = re.findall(r"^process_start_time_seconds (\S+)$", figures, re.MULTILINE)
    return float(found)


def serving(found: Gateway) -> list[int]:
    """The pids of the serving processes, without multiprocessing's resource tracker."""
    pids = []
    for child in psutil.Process(found.process.pid).children():
        with suppress(psutil.NoSuchProcess):
            if "spawn_main" in " ".join(child.cmdline()):
                pids.append(child.pid)
    return sorted(pids)
