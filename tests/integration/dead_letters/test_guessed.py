"""The site that an unreadable text names: shown to operators as unproven, and used nowhere else."""

import asyncio
import json
from typing import Any

from support.events.dead_letters import DROPPED_AT, add_dropped, dropped
from support.processes.command import bridge

from schemas.reasons import DroppedReason, ErrorClass
from sinks.postgres.audit.drops import drops_by

BROKEN = {"dropped_reason": DroppedReason.INVALID_PAYLOAD_JSON, "error_class": ErrorClass.INVALID_PAYLOAD_JSON}
NOBODY = BROKEN | {"site_id": None, "script_id": None, "event_id": None, "key": None}
OF_21, OF_11 = b'{"site_id": 21 "script_id": "globex-web"}', b'{"site_id": 11,'


async def dlq(dsn: str, *words: str) -> str:
    done = await asyncio.to_thread(bridge, "dlq", *words, settings={"BRIDGE_DATABASE_URL": dsn})
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


async def test_the_owner_of_broken_json_is_guessed_and_never_asked_by(database_url: str) -> None:
    """Groups, list and show mark it as unproven; filters by that site and its organisation don't find it."""
    await add_dropped(
        database_url,
        [
            *(dropped(number, payload=OF_21, **NOBODY) for number in range(3)),
            dropped(3, payload=OF_11, **NOBODY),
            dropped(4, payload=b"{", **NOBODY),
            dropped(5, payload=OF_21, **NOBODY | {"site_id": 7}),
        ],
        orgs={21: 2},
    )
    groups = await dlq(database_url, "groups")
    assert "no readable site: 5" in " ".join(groups.split())
    guessed = "site ~21 globex-web: 3, site ~21 globex-web (site 7 by the record key): 1, site ~11: 1"
    assert f"unproven, by their text: {guessed}" in " ".join(groups.split())
    shown = await dlq(database_url, "show", "bridge.raw:0:0")
    assert "~21 (unproven: guessed from the event's text, which can't be parsed)" in shown
    listed = await dlq(database_url, "list")
    assert "~globex-web" in listed
    assert "~: unproven" in listed
    page: Any = json.loads(await dlq(database_url, "list", "--json-output", "-"))
    lines = {one["provenance"]: one for one in page["dead_letters"]}
    assert (lines["bridge.raw:0:1"]["site_id"], lines["bridge.raw:0:1"]["guessed_site_id"]) == (None, 21)
    assert (lines["bridge.raw:0:5"]["site_id"], lines["bridge.raw:0:5"]["guessed_site_id"]) == (7, None)
    assert lines["bridge.raw:0:5"]["claimed_site_id"] == 21
    for option in (("--site-id", "21"), ("--org-id", "2"), ("--script-id", "globex-web")):
        assert "0 of 0" in await dlq(database_url, "list", *option)
    assert set(await drops_by(database_url, "site", DROPPED_AT)) == {"0", "7"}


async def test_a_text_that_contradicts_its_record_key_is_told(database_url: str) -> None:
    """The dead letter belongs to the record key's site; groups, list and show also have the text's site."""
    keyed = NOBODY | {"site_id": 21, "key": b"21:k8"}
    of_31 = b'{"site_id": 31, "script_id": "app" "x"}'
    await add_dropped(
        database_url,
        [
            *(dropped(number, payload=of_31, **keyed) for number in range(2)),
            dropped(2, payload=b'{"script_id": "globex-web",,', **keyed),
            dropped(3, payload=b"{", **keyed),
        ],
        orgs={21: 2, 31: 3},
    )
    groups = " ".join((await dlq(database_url, "groups")).split())
    assert "site 21 (org 2): 4; unproven, by their text: site ~31 app (site 21 by the record key): 2" in groups
    assert "site 21 ~globex-web: 1" in groups
    listed = await dlq(database_url, "list")
    assert "21 (text: ~31) ~app" in " ".join(listed.split())
    assert "the record key names site N" in listed
    shown = " ".join((await dlq(database_url, "show", "bridge.raw:0:0")).split())
    assert "text names site ~31, unproven; site 21 is the record key's" in shown
    assert "4 of 4" in await dlq(database_url, "list", "--org-id", "2")
    assert "0 of 0" in await dlq(database_url, "list", "--org-id", "3")
    assert "text: " not in await dlq(database_url, "list", "--provenance", "bridge.raw:0:3")
