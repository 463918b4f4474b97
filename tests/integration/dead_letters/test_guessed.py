"""The owner of what can't be read: guessed by its text for the eyes of operators, and nowhere else."""

import asyncio
import json
from typing import Any

from support.command import bridge
from support.dead_letters import DROPPED_AT, add_dropped, dropped

from schemas.reasons import DroppedReason, ErrorClass
from sinks.drops import drops_by

BROKEN = {"dropped_reason": DroppedReason.INVALID_PAYLOAD_JSON, "error_class": ErrorClass.INVALID_PAYLOAD_JSON}
NOBODY = BROKEN | {"site_id": None, "script_id": None, "event_id": None, "key": None}
OF_21, OF_11 = b'{"site_id": 21 "script_id": "globex-web"}', b'{"site_id": 11,'
OF_APP = b'{"script_id": "app" "x": 1}'


async def dlq(dsn: str, *words: str) -> str:
    done = await asyncio.to_thread(bridge, "dlq", *words, settings={"BRIDGE_DATABASE_URL": dsn})
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


async def test_the_owner_of_broken_json_is_guessed_and_never_asked_by(database_url: str) -> None:
    """Groups, list and show name it with a mark; the site and organisation that it names have no dead letter of it."""
    await add_dropped(
        database_url,
        [
            *(dropped(number, payload=OF_21, **NOBODY) for number in range(3)),
            dropped(3, payload=OF_11, **NOBODY),
            dropped(4, payload=b"{", **NOBODY),
            dropped(5, payload=OF_21, **NOBODY | {"site_id": 7}),
            dropped(6, payload=OF_APP, **NOBODY | {"site_id": 7, "key": b"7"}),
        ],
        orgs={21: 2},
    )
    groups = await dlq(database_url, "groups")
    assert "no readable site: 5" in " ".join(groups.split())
    assert "unproven, by their text: site ~21 globex-web: 4, site ~7 app: 1, site ~11: 1" in " ".join(groups.split())
    shown = await dlq(database_url, "show", "bridge.raw:0:0")
    assert "~21 (unproven: by its text, which can't be read)" in shown
    listed = await dlq(database_url, "list")
    assert "~globex-web" in listed
    assert "~: unproven" in listed
    page: Any = json.loads(await dlq(database_url, "list", "--json-output", "-"))
    lines = {one["provenance"]: one for one in page["dead_letters"]}
    assert (lines["bridge.raw:0:1"]["site_id"], lines["bridge.raw:0:1"]["guessed_site_id"]) == (None, 21)
    assert (lines["bridge.raw:0:5"]["site_id"], lines["bridge.raw:0:5"]["guessed_site_id"]) == (7, None)
    for option in (("--site-id", "21"), ("--org-id", "2"), ("--script-id", "globex-web")):
        assert "0 of 0" in await dlq(database_url, "list", *option)
    assert set(await drops_by(database_url, "site", DROPPED_AT)) == {"0", "7"}
