"""Tenant scope: a token of one organisation sees and changes only that organisation's dead letters."""

import json
from uuid import uuid4

import httpx
import pytest
from support.events.dead_letters import add_dropped, dropped
from support.events.replays import LATE, dead_letters, replay_settings
from support.events.settled import event, fetch, working
from support.processes.api import made_plan, ok, refused

from schemas.api_token import Role
from schemas.config.settings import Settings
from sinks.postgres.registry.admin import add_script

FOREIGN = "bridge.raw:0:12"
OWN = "bridge.raw:0:2"
NOBODYS = "bridge.raw:0:15"


async def places(one: httpx.AsyncClient, **query: object) -> set[int]:
    """Offsets of the listed dead letters."""
    found = ok(await one.get("/v1/dead-letters", params={"limit": 1000, **query}))  # type: ignore[dict-item]  # httpx's own types
    assert found["total"] == len(found["dead_letters"])
    return {int(line["provenance"].rpartition(":")[2]) for line in found["dead_letters"]}


async def dispositions(settings: Settings) -> dict[int, str]:
    return {row[0]: row[1] for row in await fetch(settings, "SELECT raw_offset, disposition FROM bridge_event_raw")}


async def test_no_filter_reaches_further(bound: httpx.AsyncClient, unbound: httpx.AsyncClient) -> None:
    """A filter by organisation, site, script, id, provenance, reason or text finds only the organisation's own."""
    assert await places(unbound) == set(range(16))
    assert await places(bound) == set(range(10))
    assert await places(bound, org_ids=10) == set(range(10))
    assert await places(bound, org_ids=[10, 20]) == set(range(10))
    for foreign in (
        {"org_ids": 20}, {"site_id": 3}, {"site_id": 0}, {"script_id": "theirs"}, {"event_id": "e-12"},
        {"provenance": FOREIGN}, {"dropped_reason": "invalid_payload_json"}, {"text": "their secret"},
    ):  # fmt: skip
        assert await places(bound, **foreign) == set(), foreign
        assert await places(bound, disposition="any", **foreign) == set(), foreign
        assert await places(unbound, **foreign), foreign


async def test_a_foreign_one_is_told_from_none_by_nothing(bound: httpx.AsyncClient) -> None:
    """Another organisation's dead letter is answered like a missing one when shown, discarded or planned."""
    assert ok(await bound.get(f"/v1/dead-letters/{OWN}"))["site_id"] == 1
    answers = [await bound.get(f"/v1/dead-letters/bridge.raw:0:{offset}") for offset in (12, 15, 4711)]
    assert len({refused(answer, 404, "unknown_dead_letter") for answer in answers}) == 1
    for path, code in (("/v1/dead-letters/discard", "unknown_dead_letter"), ("/v1/plans", "nothing_fits")):
        told = [
            await bound.post(path, json={"filter": {"provenance": [f"bridge.raw:0:{offset}"]}, "reason": "mine?"})
            for offset in (12, 15, 4711)
        ]
        assert len({refused(answer, told[0].status_code, code) for answer in told}) == 1


async def test_groups_and_exports_are_one_s_own(bound: httpx.AsyncClient, unbound: httpx.AsyncClient) -> None:
    """Counts, shares, examples, repeated events and exports are those of the organisation only."""
    groups = ok(await bound.get("/v1/dead-letters/groups"))
    assert (groups["total"], groups["causes"], groups["groups"][0]["share_pct"]) == (10, 1, 100.0)
    assert ok(await unbound.get("/v1/dead-letters/groups"))["causes"] == 2
    for form in ("ndjson", "csv"):
        text = (await bound.get("/v1/dead-letters/export", params={"format": form, "disposition": "any"})).text
        assert "their secret" not in text
        assert len(text.splitlines()) == (10 if form == "ndjson" else 11)


async def test_a_cursor_moves_a_place_and_no_bound(bound: httpx.AsyncClient) -> None:
    """A foreign or invented cursor shows nothing more, and a malformed one is refused."""
    page = ok(await bound.get("/v1/dead-letters", params={"limit": 3}))
    moment = page["next"].partition("/")[0]
    for after in (f"{moment}/{FOREIGN}", f"{moment}/zzz:2147483647:9223372036854775807", "9999-12-31T23:59:59Z/z:0:0"):
        found = ok(await bound.get("/v1/dead-letters", params={"after": after, "limit": 1000}))
        assert found["total"] == 10
        assert {line["site_id"] for line in found["dead_letters"]} <= {1, 2}
    for broken in (
        "x",
        f"{moment}/a:1",
        f"{moment}/a:2147483648:1",
        "0000-01-01T00:00:00Z/a:0:0",
        f"{moment}/\x00:0:0",
    ):
        refused(await bound.get("/v1/dead-letters", params={"after": broken}), 422, "invalid_request")


async def test_a_discard_stops_at_the_organisation_s_edge(bound: httpx.AsyncClient, two_orgs: Settings) -> None:
    """`all` means all of the organisation's own, and a filter by a foreign site finds nothing."""
    done = ok(await bound.post("/v1/dead-letters/discard", json={"filter": {"site_id": [3]}, "reason": "theirs"}))
    assert done["processed_total"] == 0
    mixed = {"filter": {"provenance": [OWN, FOREIGN]}, "reason": "both"}
    refused(await bound.post("/v1/dead-letters/discard", json=mixed), 404, "unknown_dead_letter")
    assert set((await dispositions(two_orgs)).values()) == {"open"}
    own_org = {"filter": {"org_ids": [10]}, "reason": "names nothing"}
    refused(await bound.post("/v1/dead-letters/discard", json=own_org), 422, "filter_needed")
    done = ok(await bound.post("/v1/dead-letters/discard", json={"all": True, "reason": "all of mine"}))
    assert (done["processed_total"], done["filter"]["org_ids"]) == (10, [10])
    assert {offset for offset, one in (await dispositions(two_orgs)).items() if one == "discarded"} == set(range(10))


async def test_a_list_of_plans_is_short(bound: httpx.AsyncClient, two_orgs: Settings) -> None:
    """The list abbreviates long filters, corrections, reports and reasons; a single plan is answered whole."""
    await fetch(
        two_orgs,
        "INSERT INTO replay (replay_id, requested_by, reason, filter, corrections, report, ended_because, planned, state, org_id)"
        " SELECT gen_random_uuid(), 'me', said, jsonb_build_object('event_id', long), jsonb_build_array(jsonb_build_object('why', long)),"
        " jsonb_build_object('why', long), said, 0, 'planned', 10"
        " FROM generate_series(1, 20), repeat('x', 250000) AS long, left(long, 10000) AS said",
    )
    answer = await bound.get("/v1/plans", params={"limit": 100})
    found = ok(answer)["plans"]
    assert (len(found), {one["corrected"] for one in found}) == (20, {True})
    assert len(answer.content) < 20 * 4096
    whole = ok(await bound.get(f"/v1/plans/{found[0]['replay_id']}"))
    assert len(whole["filter"]["event_id"]) == len(whole["corrections"][0]["why"]) == 250_000


async def test_a_plan_holds_one_s_own_and_is_nobody_else_s(
    bound: httpx.AsyncClient, unbound: httpx.AsyncClient, two_orgs: Settings
) -> None:
    """Another organisation's plan and an unscoped one are answered like a missing one."""
    own = await made_plan(bound, all=True)
    everything = await made_plan(unbound, all=True)
    assert (await fetch(two_orgs, "SELECT max(raw_offset) FROM replay_item WHERE replay_id = $1", own))[0][0] == 9
    assert [one["replay_id"] for one in ok(await bound.get("/v1/plans"))["plans"]] == [own]
    assert len(ok(await unbound.get("/v1/plans"))["plans"]) == 2
    for plan_id in (everything, str(uuid4())):
        refused(await bound.get(f"/v1/plans/{plan_id}"), 404, "unknown_plan")
        refused(await bound.post(f"/v1/plans/{plan_id}/replay", json={}), 404, "unknown_plan")
        refused(await bound.post(f"/v1/plans/{plan_id}/replay", json={"dry_run": True}), 404, "unknown_plan")
        refused(await bound.post(f"/v1/plans/{plan_id}/cancel", json={"reason": "x"}), 404, "unknown_plan")
    assert ok(await unbound.get(f"/v1/plans/{own}"))["org_id"] == 10


async def test_a_beginning_is_of_one_s_own_plans(
    bound: httpx.AsyncClient, unbound: httpx.AsyncClient, two_orgs: Settings
) -> None:
    """A prefix of a foreign plan's id is answered like an unused one, and makes no prefix ambiguous."""
    own = await made_plan(bound, all=True)
    twin = own[:-4] + f"{int(own[-4:], 16) ^ 1:04x}"
    copied = """
    INSERT INTO replay (replay_id, requested_by, filter, planned, state, org_id)
    SELECT $2::text::uuid, requested_by, filter, planned, state, 20 FROM replay WHERE replay_id = $1::text::uuid
    """
    await fetch(two_orgs, copied, own, twin)
    everything = await made_plan(unbound, all=True)
    assert ok(await bound.get(f"/v1/plans/{own[:8]}"))["replay_id"] == own
    assert twin in refused(await unbound.get(f"/v1/plans/{own[:8]}"), 422, "invalid_request")
    nobodys = str(uuid4())
    told = {
        refused(answer, 404, "unknown_plan")
        for begun in (everything[:18], nobodys[:18], twin, everything, nobodys)
        for answer in (
            await bound.get(f"/v1/plans/{begun}"),
            await bound.post(f"/v1/plans/{begun}/replay", json={}),
            await bound.post(f"/v1/plans/{begun}/cancel", json={"reason": "x"}),
        )
    }
    assert len(told) == 1


async def test_a_foreign_cause_is_told_from_none_by_nothing(
    bound: httpx.AsyncClient, unbound: httpx.AsyncClient
) -> None:
    """Another organisation's cause is answered like a missing one in every filter, whole or by prefix."""
    (mine,) = (one["cause"] for one in ok(await bound.get("/v1/dead-letters/groups"))["groups"])
    (theirs,) = {one["cause"] for one in ok(await unbound.get("/v1/dead-letters/groups"))["groups"]} - {mine}
    nobodys = f"{int(theirs, 16) ^ (1 << 40):016x}"
    assert await places(unbound, cause=theirs[:8]) == set(range(10, 15))
    told = set()
    for cause in (theirs, nobodys):
        begun = cause[:8]
        for path in ("", "/groups", "/export"):
            answer = await bound.get(f"/v1/dead-letters{path}", params={"cause": begun})
            told.add(refused(answer, 422, "nothing_fits").replace(begun, "…"))
        for path in ("/v1/dead-letters/discard", "/v1/plans"):
            answer = await bound.post(path, json={"filter": {"cause": [begun]}, "reason": "mine?"})
            told.add(refused(answer, 422, "nothing_fits").replace(begun, "…"))
        assert await places(bound, cause=cause) == set()
        whole = {"filter": {"cause": [cause]}, "reason": "mine?"}
        assert ok(await bound.post("/v1/dead-letters/discard", json=whole))["processed_total"] == 0
        refused(await bound.post("/v1/plans", json=whole), 422, "nothing_fits")
    assert told == {"there is no cause '…'; see `bridge dlq groups`"}


async def test_tokens_of_others_are_not_listed(bound: httpx.AsyncClient, unbound: httpx.AsyncClient) -> None:
    """An admin of an organisation sees that organisation's tokens only."""
    assert [one["name"] for one in ok(await bound.get("/v1/tokens"))["tokens"]] == ["bound"]
    assert {one["name"] for one in ok(await unbound.get("/v1/tokens"))["tokens"]} == {"bound", "unbound"}


async def test_whose_a_foreign_script_is_is_not_told(bound: httpx.AsyncClient, two_orgs: Settings) -> None:
    """A correction that guesses a foreign script's name reveals neither its site nor its organisation."""
    await add_script(two_orgs.dsn, "victim", 3, org_id=20)
    reports = []
    for name in ("victim", "nobodys"):
        body = {"filter": {"provenance": [OWN]}, "set": {"script_id": name}, "reason": "whose?", "dry_run": True}
        reports.append(ok(await bound.post("/v1/plans", json=body))["report"])

    assert reports[0] == reports[1]
    assert reports[0]["refusals"] == {"after the correction, its script_id is not registered for site 1": 1}


async def test_lives_elsewhere_are_not_told(
    bound: httpx.AsyncClient, unbound: httpx.AsyncClient, two_orgs: Settings
) -> None:
    """A replay generation in another organisation is shown as unknown.

    An unscoped correction has moved it to that organisation's site.
    """
    moved = dropped(20, site_id=1, disposition="replayed", replayed_as="bridge.raw:0:21", event_id="moved")
    there = dropped(21, site_id=3, error="their secret", replay_of="bridge.raw:0:20", event_id="moved")
    await add_dropped(two_orgs.dsn, [moved, there])
    shown = await bound.get("/v1/dead-letters/bridge.raw:0:20")
    assert [one["state"] for one in ok(shown)["lives"]] == ["dropped", "unknown"]
    assert "their secret" not in shown.text
    assert "their secret" in (await unbound.get("/v1/dead-letters/bridge.raw:0:20")).text


async def test_a_site_that_changed_hands_is_not_replayed(bound: httpx.AsyncClient, two_orgs: Settings) -> None:
    """A plan keeps its items when a site changes its organisation, and the replay refuses that site's items."""
    plan_id = await made_plan(bound, all=True)
    await add_script(two_orgs.dsn, "moved", 2, org_id=20, move=True)
    report = ok(await bound.post(f"/v1/plans/{plan_id}/replay", json={"dry_run": True}))["report"]
    assert report["refusals"] == {"its site does not belong to organisation 10 any longer": 5}


async def test_a_plan_tells_nothing_of_a_site_that_changed_hands(
    bound: httpx.AsyncClient, unbound: httpx.AsyncClient, two_orgs: Settings
) -> None:
    """Neither what the site's dead letters hold, nor what its new organisation does with them."""
    body = {"filter": {"site_id": [1, 2]}, "set": {"event_type": "click"}, "reason": "a mistake"}
    plan_id = ok(await bound.post("/v1/plans", json=body), 201)["replay_id"]
    whole = ok(await bound.get(f"/v1/plans/{plan_id}"))
    await add_script(two_orgs.dsn, "moved", 2, org_id=20, move=True)
    discard = {"filter": {"site_id": [2], "provenance": ["bridge.raw:0:1"]}, "reason": "theirs"}
    ok(await unbound.post("/v1/dead-letters/discard", json=discard))
    told = ok(await bound.get(f"/v1/plans/{plan_id}"))
    tried = ok(await bound.post(f"/v1/plans/{plan_id}/replay", json={"dry_run": True}))["report"]
    ended = ok(await bound.post(f"/v1/plans/{plan_id}/cancel", json={"reason": "theirs"}))

    assert whole["report"]["samples"], whole["report"]
    assert whole["report"]["by_site"] == {"1": 5, "2": 5}
    left = {name: value for name, value in told["report"].items() if value}
    assert left == {
        "items": 10,
        "by_forecast": whole["report"]["by_forecast"],
        "warnings": ["some of the plan's sites belong to another organisation now; details are left out"],
    }
    skipped = {"its site belongs to another organisation now": 5}
    assert (told["outcomes"], told["skipped"]) == ({"open": 5, "skipped": 5}, skipped)
    assert (tried["items"], tried["by_site"]) == (10, {"1": 5})
    assert tried["refusals"]["its site does not belong to organisation 10 any longer"] == 5
    assert {one["site_id"] for one in tried["replaced"]} <= {1}
    assert not any(int(one["provenance"].rpartition(":")[2]) % 2 for one in tried["samples"])
    assert ended["skipped_by_reason"] == skipped


@pytest.mark.parametrize(
    "correction",
    [
        {"set": {"site_id": 7, "script_id": "victim"}},
        {"patch": [{"op": "replace", "path": "/site_id", "value": 7}, {"op": "replace", "path": "/script_id", "value": "victim"}]},
        {"patch": [{"op": "add", "path": "", "value": json.loads(event(1, site_id=7, script_id="victim"))}]},
        {"patch": [{"op": "copy", "from": "/properties/x", "path": "/site_id"}]},
        {"set": {"site_id": 7, "event_type": ""}},
        {"compute": {"site_id": "copy(properties.x)"}},
    ],
)  # fmt: skip
async def test_a_correction_writes_into_no_other_organisation(
    stack, database_url, topic_prefix, tmp_path, correction: dict[str, object]
) -> None:
    """Neither plan nor replay accepts such a correction, and the dead letter stays open."""
    from support.processes.api import api, client, token, when

    settings = replay_settings(stack, database_url, topic_prefix)
    await dead_letters(settings, [event(number, **LATE, properties={"x": 7}) for number in range(3)])
    await add_script(database_url, "late", 1)
    await add_script(database_url, "victim", 7, org_id=70)
    with api(settings, tmp_path / "log") as found:
        async with client(found, await token(settings, "mallory", Role.ADMIN, 1)) as one, working(settings):
            body = {"filter": {"script_id": ["late"]}, "reason": "move them"} | correction
            planned = ok(await one.post("/v1/plans", json=body), 201)
            assert planned["report"]["by_forecast"] == {"refused": 3}, planned["report"]
            ok(await one.post(f"/v1/plans/{planned['replay_id']}/replay", json={}), 202)
            done = await when(one, planned["replay_id"], state="sent", running=False)
            assert done["outcomes"] == {"skipped": 3}
        assert (await fetch(settings, "SELECT count(*) FROM bridge_event"))[0][0] == 0
        async with client(found, await token(settings, "root", Role.ADMIN)) as one:
            report = ok(await one.post("/v1/plans", json=body | {"dry_run": True}))["report"]
            assert report["by_forecast"].get("refused", 0) == 0
