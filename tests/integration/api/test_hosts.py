"""No answer contains a host name of ours or repeats the one that the request named."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from support.processes.api import made_plan, ok
from support.processes.gateway import gateway

from schemas.config.settings import Settings

ASKED = "evil.example"
STORED = "db-7.internal"
"""A host in the rows of an earlier release."""
HOSTS = re.compile(rf"{ASKED}|{STORED}|(?<![\w.-]){re.escape(socket.gethostname())}(?![\w.-])")


@pytest.fixture
async def plan_id(bound: httpx.AsyncClient, two_orgs: Settings) -> str:
    """A cancelled plan of organisation 10, one that other hosts made and cancelled, and a revoked token."""
    found = await made_plan(bound, filter={"site_id": [1]}, reason="why")
    ok(await bound.post(f"/v1/plans/{found}/cancel", json={"reason": "enough"}))
    connection = await asyncpg.connect(two_orgs.dsn)
    try:
        await connection.execute(
            "INSERT INTO replay (replay_id, requested_by, filter, planned, state, ended_by, ended_because, org_id) "
            "VALUES (gen_random_uuid(), $1, '{}', 0, 'cancelled', $1, 'x', 10)",
            f"bob@corp.example@{STORED}",
        )
        await connection.execute(
            "INSERT INTO api_token (key_id, name, digest, role, org_id, created_by, revoked_at, revoked_by) "
            "VALUES ('old', 'old', sha256('x'), 'viewer', 10, $1, now(), $1)",
            f"root@{STORED}",
        )
    finally:
        await connection.close()
    return found


def requests_of(document: dict[str, Any], known: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Every operation with and without a trailing slash, and paths that the document leaves out."""
    for path, methods in {
        **document["paths"],
        "/docs": {"get": {}},
        "/openapi.json": {"get": {}},
        "/no": {"get": {}},
    }.items():
        filled = re.sub(r"\{(\w+)\}", lambda one: known.get(one[1], "x"), path)
        for method in (*methods, "put"):
            yield method, filled
            yield method, f"{filled.rstrip('/')}/"


async def assert_no_host(one: httpx.AsyncClient, known: dict[str, str]) -> int:
    """Request everything with another host's name, and count the successful answers."""
    document = ok(await one.get("/openapi.json"))
    good = 0
    for method, path in requests_of(document, known):
        content = b"{}" if method != "get" else None
        headers = {"host": ASKED, "x-forwarded-host": ASKED} | ({"content-type": "application/json"} if content else {})
        answer = await one.request(method, path, headers=headers, content=content)
        said = "\n".join([*answer.headers.values(), answer.text])
        assert HOSTS.search(said) is None, (method, path, HOSTS.search(said), said[:2000])
        good += answer.is_success
    return good


async def test_api_names_no_host(bound: httpx.AsyncClient, plan_id: str) -> None:
    """Accounts that made, cancelled or revoked something appear without host, also in rows of an earlier release."""
    assert await assert_no_host(bound, {"plan_id": plan_id, "provenance": "bridge.raw:0:1"}) > 10
    seen = ok(await bound.get(f"/v1/plans/{plan_id}"))
    assert (seen["requested_by"], seen["ended_by"]) == ("token:bound", "token:bound")
    assert {one["requested_by"] for one in ok(await bound.get("/v1/plans"))["plans"]} == {
        "token:bound",
        "bob@corp.example",
    }
    assert {one["revoked_by"] for one in ok(await bound.get("/v1/tokens"))["tokens"]} == {None, "root"}
    replayed = await bound.post(f"/v1/plans/{plan_id}/replay", json={})
    assert "cancelled by token:bound;" in replayed.json()["detail"]


async def test_gateway_names_no_host(two_orgs: Settings, tmp_path: Path) -> None:
    """The gateway names no host, and `/docs/` is 404 instead of a redirect."""
    with gateway(two_orgs, tmp_path / "gateway.log") as found:
        async with httpx.AsyncClient(base_url=found.url, timeout=30) as one:
            assert await assert_no_host(one, {"script_id": "s1"}) > 3
            assert (await one.get("/docs/", headers={"host": ASKED})).status_code == 404
