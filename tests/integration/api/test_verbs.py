"""Reading, discarding and planning over HTTP: as on the command line, and recorded."""

import asyncio
import json
from typing import Any

import httpx
from support.events.settled import environment_of, fetch
from support.processes.api import Api, client, made_plan, ok, refused, token
from support.processes.command import bridge

from schemas.api_token import Role
from schemas.config.settings import Settings


async def cli(settings: Settings, *words: str) -> Any:
    """The JSON output of `bridge dlq`."""
    done = await asyncio.to_thread(bridge, "dlq", *words, "--json-output", "-", settings=environment_of(settings))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def test_the_same_as_the_command_line(unbound: httpx.AsyncClient, two_orgs: Settings) -> None:
    """HTTP and the command line return the same documents."""
    place = "bridge.raw:0:3"
    for path, query, words in (
        ("", {"limit": 4, "site_id": [1, 3]}, ("list", "--limit", "4", "--site-id", "1", "--site-id", "3")),
        ("", {"disposition": "any", "text": "SECRET"}, ("list", "--disposition", "any", "--text", "SECRET")),
        ("/groups", {"hours": 2}, ("groups", "--hours", "2")),
        (f"/{place}", {}, ("show", place)),
    ):
        found = ok(await unbound.get(f"/v1/dead-letters{path}", params=query))
        assert found == await cli(two_orgs, *words), path
    plan_id = await made_plan(unbound, filter={"site_id": [1]})
    shown = ok(await unbound.get(f"/v1/plans/{plan_id}"))
    assert shown.pop("resumable") is False
    told = await cli(two_orgs, "status", plan_id)
    assert shown.keys() == told.keys()
    assert (shown["outcomes"], shown["report"]) == (told["outcomes"], told["report"])


async def test_pages_and_exports_hold_each_once(bound: httpx.AsyncClient) -> None:
    """All pages together are the export in the other direction, and the total is that of all."""
    met: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = ok(await bound.get("/v1/dead-letters", params={"limit": 3, **after}))
        assert page["total"] == 10
        met += [line["provenance"] for line in page["dead_letters"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    lines = (await bound.get("/v1/dead-letters/export")).text.splitlines()
    exported = [json.loads(line)["provenance"] for line in lines]
    assert met == exported[::-1]
    assert len(set(met)) == 10
    answer = await bound.get("/v1/dead-letters/export", params={"format": "csv", "site_id": 1})
    assert answer.headers["content-disposition"] == 'attachment; filename="dead-letters.csv"'
    assert answer.headers["content-type"].startswith("text/csv")
    assert (await bound.get("/v1/dead-letters/export", params={"script_id": "nobody"})).content == b""


async def test_a_discard_is_on_record(bound: httpx.AsyncClient, two_orgs: Settings) -> None:
    """The history has the caller, the reason and the run's id; a dry run counts and records nothing."""
    body = {"filter": {"site_id": [1]}, "reason": "the widget was a test"}
    rehearsed = ok(await bound.post("/v1/dead-letters/discard", json=body | {"dry_run": True}))
    assert (rehearsed["processed_total"], rehearsed["dry_run"]) == (5, True)
    assert await fetch(two_orgs, "SELECT 1 FROM script_run") == []
    done = ok(await bound.post("/v1/dead-letters/discard", json=body))
    assert (done["processed_total"], done["reason"]) == (5, "the widget was a test")
    (run,) = await fetch(two_orgs, "SELECT run_id, script, started_by, exit_code, summary::text FROM script_run")
    assert (run["run_id"], run["script"], run["exit_code"]) == (done["run_id"], "dlq-discard", 0)
    assert run["started_by"].startswith("token:bound@")
    assert '"reason": "the widget was a test"' in run["summary"]
    again = ok(await bound.post("/v1/dead-letters/discard", json=body))
    assert (again["processed_total"], again["left"]) == (0, {"discarded": 5})
    listed = ok(await bound.get("/v1/dead-letters", params={"disposition": "discarded"}))
    assert listed["total"] == 5
    shown = ok(await bound.get(f"/v1/dead-letters/{listed['dead_letters'][0]['provenance']}"))
    assert shown["discarded_by"] == done["run_id"]
    closed = {"filter": {"disposition": ["discarded"], "site_id": [1]}, "reason": "again"}
    assert "only open dead letters" in refused(
        await bound.post("/v1/dead-letters/discard", json=closed), 422, "invalid_request"
    )


async def test_plans(bound: httpx.AsyncClient, two_orgs: Settings) -> None:
    """A limit, corrections with their samples, and a refusal if nothing fits or would pass."""
    body = {"filter": {"site_id": [1, 2]}, "limit": 3, "set": {"currency": "EUR"}, "reason": "plugin 3.2"}
    rehearsed = ok(await bound.post("/v1/plans", json=body | {"dry_run": True}))
    assert rehearsed["report"]["items"] == 3
    assert ok(await bound.get("/v1/plans"))["plans"] == []
    summary = ok(await bound.post("/v1/plans", json=body), 201)
    assert any('+  "currency": "EUR"' in line for line in summary["report"]["samples"][0]["diff"])
    plan = ok(await bound.get(f"/v1/plans/{summary['replay_id']}"))
    assert plan["corrections"] == [{"op": "add", "path": "/currency", "value": "EUR"}]
    assert (plan["planned"], plan["reason"], plan["state"], plan["running"]) == (3, "plugin 3.2", "planned", False)
    assert plan["outcomes"] == {"open": 3}
    computed = {"compute": {"currency": "default(eur)|upper()", "n": "copy(event_id)|lower()"}}
    summary = ok(await bound.post("/v1/plans", json={"filter": {"site_id": [1]}, "reason": "x"} | computed), 201)
    assert any('+  "currency": "EUR"' in line for line in summary["report"]["samples"][0]["diff"])
    assert ok(await bound.get(f"/v1/plans/{summary['replay_id']}"))["corrections"] == [
        {"op": "compute", "path": "/currency", "expression": "default(eur)|upper()"},
        {"op": "copy", "from": "/event_id", "path": "/n"},
        {"op": "compute", "path": "/n", "expression": "lower()"},
    ]
    for wrong, code in (
        ({"filter": {"script_id": ["nobody"]}}, "nothing_fits"),
        ({"filter": {"site_id": [1]}, "passing": True}, "nothing_fits"),
        ({"filter": {"site_id": [1]}, "reason": "x", "compute": {"a": "2"}}, "invalid_request"),
    ):
        refused(await bound.post("/v1/plans", json=wrong), 422, code)


async def test_what_a_path_takes(unbound: httpx.AsyncClient) -> None:
    """A wrong method is answered with the allowed ones, and a list of plans has a largest limit."""
    for path, methods in (
        ("/v1/plans", "GET, POST"),
        ("/v1/dead-letters", "GET"),
        ("/v1/dead-letters/discard", "GET, POST"),
    ):
        answer = await unbound.delete(path)
        refused(answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == methods
    refused(await unbound.get("/v1/plans", params={"limit": 101}), 422, "invalid_request")


async def test_two_discards_of_one_reach_take_turns(running: Api, two_orgs: Settings) -> None:
    """Discards of one tenant scope exclude each other; another organisation's does not wait."""
    made = [await token(two_orgs, f"org-{org}", Role.ADMIN, org) for org in (10, 20)]
    async with client(running, made[0]) as one, client(running, made[1]) as other:
        everything = {"all": True, "reason": "all of mine"}
        answers = await asyncio.gather(
            *(who.post("/v1/dead-letters/discard", json=everything) for who in (one, one, one, other))
        )
        assert {answer.status_code for answer in answers[:3]} <= {200, 409}
        assert ok(answers[3])["processed_total"] == 5
        assert sum(answer.json().get("processed_total", 0) for answer in answers[:3]) == 10
        for answer in answers[:3]:
            if answer.status_code == 409:
                refused(answer, 409, "another_run")


async def test_figures_and_log(running: Api, bound: httpx.AsyncClient) -> None:
    """The metrics count requests by route and status; the log names the caller, not the secret."""
    ok(await bound.get("/v1/dead-letters/bridge.raw:0:1"))
    refused(await bound.get("/v1/dead-letters/bridge.raw:0:99"), 404, "unknown_dead_letter")
    figures = (await bound.get("/metrics")).text
    for status in (200, 404):
        assert f'bridge_api_requests_total{{route="/v1/dead-letters/{{provenance}}",status="{status}"}} 1.0' in figures
    wanted = {"filter": {"site_id": [1]}, "reason": "a test", "dry_run": True}
    rehearsed = await bound.post("/v1/dead-letters/discard", json=wanted)
    lines = [json.loads(line) for line in running.log.read_text().splitlines()]
    # Log lines of a run within a request carry the request's id and the caller.
    begun = next(line for line in lines if line["event"] == "run_started")
    assert begun | {"request_id": rehearsed.headers["x-request-id"], "user_id": "bound", "org_id": 10} == begun
    told = next(line for line in lines if line.get("status_code") == 404)
    assert (told["event"], told["user_id"], told["error_code"]) == ("request", "bound", "unknown_dead_letter")
    assert told["request_id"].startswith("req-")
    ready = ok(await bound.get("/ready"))
    assert ready["components"] == {"kafka": "ok", "postgres": "ok", "tokens": "ok"}
    assert (await bound.get("/v1/me")).headers["cache-control"] == "no-store"


async def test_beginnings_of_causes_and_plans_are_taken(unbound: httpx.AsyncClient, two_orgs: Settings) -> None:
    """Prefixes are accepted as on the command line; an unused prefix and a malformed one have different errors."""
    cause = ok(await unbound.get("/v1/dead-letters/groups"))["groups"][0]["cause"]
    whole = ok(await unbound.get("/v1/dead-letters", params={"cause": cause}))
    assert ok(await unbound.get("/v1/dead-letters", params={"cause": cause[:8]})) == whole
    assert await cli(two_orgs, "list", "--cause", cause[:8]) == whole
    plan_id = await made_plan(unbound, filter={"cause": [cause[:8]]})
    shown = ok(await unbound.get(f"/v1/plans/{plan_id[:8]}"))
    assert (shown["replay_id"], shown["filter"]["cause"]) == (plan_id, [cause])
    refused(await unbound.get("/v1/plans/00000000"), 404, "unknown_plan")
    refused(await unbound.get("/v1/plans/xyz"), 422, "invalid_request")
    refused(await unbound.get("/v1/dead-letters", params={"cause": "00000000"}), 422, "nothing_fits")
    empty = {"filter": {"site_id": [4711]}, "reason": "none"}
    refused(await unbound.post("/v1/plans", json=empty), 422, "nothing_fits")
