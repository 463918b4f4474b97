"""Authentication: missing, wrong, revoked and expired tokens, too small roles, and what is stored of a token."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from support.events.settled import environment_of, fetch
from support.processes.api import Api, api, client, ok, refused, token
from support.processes.command import bridge
from support.processes.gateway import bearer
from support.wait import wait_until

from schemas.api_token import Role
from schemas.config.settings import Settings
from sinks.postgres.registry.admin import add_script
from sinks.postgres.tokens.api_tokens import create_api_token
from sinks.postgres.tokens.script_tokens import create_token

PLAN = "/v1/plans/00000000-0000-4000-8000-000000000000"
CHANGES = {
    "/v1/dead-letters/discard": {"filter": {"site_id": [1]}, "reason": "x"},
    "/v1/plans": {"filter": {"site_id": [1]}},
    f"{PLAN}/replay": {},
    f"{PLAN}/cancel": {"reason": "x"},
}


async def cli(settings: Settings, *words: str, code: int = 0) -> tuple[str, str]:
    done = await asyncio.to_thread(bridge, "api", "token", *words, settings=environment_of(settings))
    assert done.returncode == code, done.stderr
    return done.stdout.decode(), done.stderr.decode()


async def test_from_its_making_to_its_end(running: Api, two_orgs: Settings) -> None:
    """A token of the command line is shown once, stored as a digest, used, listed, and refused once it is revoked."""
    out, err = await cli(two_orgs, "create", "alice", "--role", "operator", "--org-id", "10", "--expires", "12h")
    text = out.strip()
    assert "operator of organisation 10" in err
    assert text not in err
    (row,) = await fetch(two_orgs, "SELECT to_jsonb(t)::text FROM api_token AS t")
    assert text.rpartition("_")[2] not in row[0]
    async with client(running, text) as one:
        me = ok(await one.get("/v1/me"))
        assert (me["name"], me["role"], me["org_id"]) == ("alice", "operator", 10)
        assert datetime.fromisoformat(me["expires_at"]) - datetime.now(UTC) < timedelta(hours=12)
        await cli(two_orgs, "revoke", "alice")

        async def known() -> bool:
            return (await one.get("/v1/me")).status_code == 401

        await wait_until(known, budget_seconds=5, describe="the revocation")
        refused(await one.get("/v1/me"), 401, "token_revoked")

    async def noted() -> bool:
        return "never" not in (await cli(two_orgs, "list"))[0]

    await wait_until(noted, budget_seconds=60, describe="when it was used last")
    assert "revoked" in (await cli(two_orgs, "list"))[0]
    assert "(was revoked already)" in (await cli(two_orgs, "revoke", "alice"))[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "Al ice", "--role", "viewer"), "token name 'Al ice'"),
        (("create", "bob", "--role", "viewer", "--org-id", "999"), "organisation 999 is not registered"),
        (("create", "bob", "--role", "viewer", "--org-id", "99999999999999999999"), "is not registered"),
        (("create", "bob", "--role", "root"), "--role"),
        (("create", "bob", "--role", "viewer", "--expires", "soon"), "--expires: 'soon' is not 12h, 90d or never"),
        (("create", "taken", "--role", "viewer"), "was given to a token before"),
        (("revoke", "nobody"), "there is no token 'nobody'"),
    ],
)
async def test_what_the_commands_refuse(two_orgs: Settings, words: tuple[str, ...], said: str) -> None:
    """A mistake exits with code 3 and one line that names it."""
    await token(two_orgs, "taken")
    _, err = await cli(two_orgs, *words, code=3)
    assert said in err
    assert len(err.splitlines()) == 1


async def test_no_token_no_answer(running: Api, two_orgs: Settings) -> None:
    """Every path below /v1 needs a token, whether it exists or not; health and documents need none."""
    expired = await create_api_token(two_orgs.dsn, "old", Role.ADMIN, expires_at=datetime.now(UTC) - timedelta(days=1))
    await add_script(two_orgs.dsn, "a-script", 1)
    key = await create_token(two_orgs.dsn, "a-script")
    good = await token(two_orgs, "good", Role.ADMIN)
    wrong = good[:-1] + ("0" if good[-1] != "0" else "1")
    async with client(running, good):
        pass
    async with httpx.AsyncClient(base_url=running.url) as one:
        paths = ["/v1/me", "/v1/tokens", "/v1/dead-letters", "/v1/dead-letters/groups", "/v1/dead-letters/export",
                 "/v1/dead-letters/bridge.raw:0:1", "/v1/plans", PLAN, "/v1/nothing"]  # fmt: skip
        for headers, code in (
            ({}, "token_missing"), ({"authorization": "Basic eDp5"}, "token_forged"), ({"authorization": "Bearer"}, "token_forged"),
            (bearer("x"), "token_forged"), (bearer(wrong), "token_forged"), (bearer(key.text), "token_forged"),
            (bearer(expired.text), "token_expired"),
        ):  # fmt: skip
            for path in paths:
                answer = await one.get(path, headers=headers)
                refused(answer, 401, code)
                assert answer.headers["www-authenticate"] == "Bearer"
            for path, body in CHANGES.items():
                refused(await one.post(path, json=body, headers=headers), 401, code)
            refused(await one.post("/v1/plans", content=b"{", headers=headers), 401, code)
        for path in ("/", "/health", "/ready", "/metrics", "/openapi.json", "/docs"):
            assert (await one.get(path)).status_code == 200
        refused(await one.get("/nothing"), 404, "not_found")
        for near in ("//v1/plans", "/v1/../v1/plans", "/%76%31/plans", "/V1/plans", "/v1//plans", "/v1/plans/"):
            assert (await one.get(running.url + near)).status_code in (401, 404), near


async def test_roles(running: Api, two_orgs: Settings) -> None:
    """A viewer only reads, an operator neither selects everything nor forces, and only admins list tokens."""
    made = {role: await token(two_orgs, role.value, role) for role in Role}
    async with client(running, made[Role.VIEWER]) as viewer, client(running, made[Role.OPERATOR]) as operator:
        assert ok(await viewer.get("/v1/dead-letters"))["total"] == 16
        for path, body in CHANGES.items():
            if path.startswith(PLAN):
                # A refusal doesn't reveal whether there is such a plan.
                refused(await viewer.post(path, json=body), 403, "role_too_low")
                refused(await operator.post(path, json=body), 404, "unknown_plan")
            else:
                told = refused(await viewer.post(path, json=body), 403, "role_too_low")
                assert told == "the role of the token viewer is viewer; this action needs the role operator"
                assert (await operator.post(path, json=body | {"dry_run": True})).status_code == 200
        everything = {"all": True, "reason": "all of it"}
        for path in ("/v1/dead-letters/discard", "/v1/plans"):
            refused(await operator.post(path, json=everything), 403, "role_too_low")
            refused(await operator.post(path, json={"reason": "no filter"}), 422, "filter_needed")
            nothing = {"filter": {"disposition": ["open"]}, "reason": "no filter"}
            refused(await operator.post(path, json=nothing), 422, "filter_needed")
        plan_id = ok(await operator.post("/v1/plans", json={"filter": {"site_id": [1]}}), 201)["replay_id"]
        refused(await operator.post(f"/v1/plans/{plan_id}/replay", json={"force": True}), 403, "role_too_low")
        for one in (viewer, operator):
            refused(await one.get("/v1/tokens"), 403, "role_too_low")
    async with client(running, made[Role.ADMIN]) as admin:
        tokens = await admin.get("/v1/tokens")
        assert {one["name"] for one in ok(tokens)["tokens"]} == {"viewer", "operator", "admin"}
        assert "sk_" not in tokens.text
        assert "digest" not in tokens.text
        ok(await admin.post("/v1/dead-letters/discard", json=everything | {"dry_run": True}))


async def test_rates_are_limited(two_orgs: Settings, tmp_path: Path) -> None:
    """429 has Retry-After, also for callers that guess tokens."""
    text = await token(two_orgs, "fast", Role.VIEWER)
    with api(two_orgs, tmp_path / "log", api_requests_per_second=5) as found:
        async with httpx.AsyncClient(base_url=found.url) as one:
            for headers, code in ((bearer("sk_x"), 401), (bearer(text), 200)):

                async def calm(headers: dict[str, str] = headers, code: int = code) -> bool:
                    return (await one.get("/v1/me", headers=headers)).status_code == code

                await wait_until(calm, budget_seconds=60, describe="room")
                answers = [await one.get("/v1/me", headers=headers) for _ in range(20)]
                late = next(answer for answer in answers if answer.status_code == 429)
                refused(late, 429, "rate_limited")
                assert int(late.headers["retry-after"]) >= 1
            assert (await one.get("/health")).status_code == 200
