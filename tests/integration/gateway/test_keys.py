"""Idempotency-Key: the same events are published once per sender."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from support.processes.gateway import ORIGIN, bearer, body, gateway, raw_records

from schemas.config.settings import Settings
from sinks.postgres.registry.admin import add_script

EVENTS = "/api/bridge/s1/events"


@pytest.fixture
async def client(settings: Settings, key: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway that knows the key and an origin."""
    await add_script(settings.dsn, "s1", 1, origins=[ORIGIN])
    with gateway(settings, tmp_path / "gateway.log") as running:
        async with httpx.AsyncClient(base_url=running.url, timeout=20) as made:
            yield made


def event(**fields: object) -> dict[str, object]:
    return {"event_type": "click", "occurred_at": "2026-01-01T00:00:00Z"} | fields


async def test_an_idempotency_key_publishes_once(client: httpx.AsyncClient, settings: Settings, key: str) -> None:
    """The same key and body get the same answer with the same assigned ids; another body is refused."""
    headers = bearer(key) | {"idempotency-key": "batch-1"}
    content = body(event(), event(event_id="a"))
    first = await client.post(EVENTS, content=content, headers=headers)
    second = await client.post(EVENTS, content=content, headers=headers)

    assert (first.status_code, second.status_code, second.content) == (202, 202, first.content)
    assert second.headers["idempotency-replayed"] == "true"
    assert (await client.post(EVENTS, content=body(event()), headers=headers)).json()[
        "error_code"
    ] == "idempotency_key_reused"
    assert len(await raw_records(settings)) == 2


async def test_another_process_assigns_the_same_ids(
    client: httpx.AsyncClient, settings: Settings, key: str, tmp_path: Path
) -> None:
    """It has not kept the answer, so it publishes the events again: under the same ids, which count once."""
    headers = bearer(key) | {"idempotency-key": "batch-1"}
    content = body(event(), event())
    first = await client.post(EVENTS, content=content, headers=headers)
    with gateway(settings, tmp_path / "another.log") as other:
        async with httpx.AsyncClient(base_url=other.url, timeout=20) as another:
            second = await another.post(EVENTS, content=content, headers=headers)

    assert first.json()["results"] == second.json()["results"]
    assert "idempotency-replayed" not in second.headers
    keys = await raw_records(settings, lambda record: record.key)
    assert (len(keys), len(set(keys))) == (4, 2)


@pytest.mark.parametrize("first_type", ["application/json", "application/x-ndjson"])
async def test_an_idempotency_key_is_of_events_not_of_bytes(
    client: httpx.AsyncClient, settings: Settings, key: str, first_type: str
) -> None:
    """The same bytes under another media type hold other events: they get no stored answer and no 5xx."""
    bad, good = b"{bad" + b" " * 70_000, body(event())
    types = [first_type, *{"application/json", "application/x-ndjson"} - {first_type}]
    answers = [
        await client.post(
            EVENTS,
            content=bad + b"\n" + good,
            headers=bearer(key) | {"idempotency-key": "twice", "content-type": media_type},
        )
        for media_type in (*types, types[0])
    ]

    assert answers[1].json()["error_code"] == "idempotency_key_reused"
    assert answers[0].status_code == answers[2].status_code
    assert {one.status_code for one in answers} < {202, 400, 413, 422}


async def test_a_browser_takes_no_idempotency_key_from_a_server(
    client: httpx.AsyncClient, settings: Settings, key: str
) -> None:
    """Browser tokens and servers have separate keys, as anyone can get a token and guess a server's keys."""
    token = (await client.post("/bridge/s1/token", headers={"origin": ORIGIN})).json()["token"]
    same = {"idempotency-key": "orders-of-today"}
    first = await client.post(EVENTS, content=body(event()), headers=bearer(token) | same | {"origin": ORIGIN})
    second = await client.post(EVENTS, content=body(event(event_id="order")), headers=bearer(key) | same)

    assert (first.status_code, second.status_code) == (202, 202), second.text
    assert "idempotency-replayed" not in second.headers
    assert len(await raw_records(settings)) == 2
