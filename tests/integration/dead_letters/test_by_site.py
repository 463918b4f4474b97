"""`kpi` and `gate show` by site: each class of refusal, for a registered, an unregistered and no site."""

import asyncio
import json
import time
from collections import Counter
from typing import Any

import asyncpg
from support.events.making import BRAKE_LIMITS, DLQ, RAW, SOURCE, batch, context, process, record
from support.memory.publisher import MemoryPublisher
from support.processes.command import bridge

from schemas.pipeline.record import RawRecord
from schemas.reasons import DroppedReason
from sinks.postgres.sink import PostgresSink
from streams.rules.breaker import BreakerJudge
from streams.rules.retry_policy import RetryPolicy
from streams.worker.committer import BatchCommitter

REGISTERED, UNREGISTERED, NO_IDENTITY = 1, 12, 0
OF_SITE = {REGISTERED: {"site_id": 1, "script_id": "shop"}, UNREGISTERED: {"site_id": 12, "script_id": "newco"}}
NOBODY = {"site_id": ..., "script_id": ..., "key": None}
JSON, VIOLATION = DroppedReason.INVALID_PAYLOAD_JSON, DroppedReason.SCHEMA_VIOLATION
DUPLICATE, REJECTED = DroppedReason.DUPLICATE_EVENT_ID, DroppedReason.SINK_REJECTED_ROW
EXHAUSTED = DroppedReason.RETRY_EXHAUSTED

# What is sent, by reason and site. Duplicates and rejected rows have passed the registry, and an exhausted retry
# names a script: these have no other identity.
REFUSALS: list[tuple[DroppedReason, int, dict[str, Any]]] = [
    (JSON, REGISTERED, {"value": b"{", "key": b"1:e"}),
    (JSON, UNREGISTERED, {"value": b"{", "key": b"12:e"}),
    (JSON, NO_IDENTITY, {"value": b"{", "key": None}),
    (VIOLATION, REGISTERED, {"event_type": "", **OF_SITE[REGISTERED]}),
    (VIOLATION, UNREGISTERED, {"event_type": "", **OF_SITE[UNREGISTERED]}),
    (VIOLATION, NO_IDENTITY, {"event_type": "", **NOBODY}),
    (EXHAUSTED, REGISTERED, {"site_id": 1, "script_id": "nobody"}),
    (EXHAUSTED, UNREGISTERED, OF_SITE[UNREGISTERED]),
    (DUPLICATE, REGISTERED, {"event_id": "sent-before"}),
    (REJECTED, REGISTERED, {"event_type": "refused"}),
]
EACH = 3
GIVE_UP = RetryPolicy((), {}, 0, 0.0)
"""The first attempt is the last one."""


async def drop_all(dsn: str) -> None:
    """Send each refusal `EACH` times; mark the first of each as replayed and the second as discarded."""
    now = time.time_ns() // 1_000_000
    given = {"occurred_at": now, "timestamp": now}
    records: list[RawRecord] = [record(0, event_id="sent-before", **given)]
    for _, _, changed in REFUSALS:
        for _ in range(EACH):
            offset = len(records)
            records.append(record(offset, **({"event_id": f"e-{offset}"} | given | changed)))
    conn = await asyncpg.connect(dsn)
    sink = PostgresSink(dsn, "by-site", lock_timeout=2)
    try:
        await conn.execute("ALTER TABLE bridge_event ADD CHECK (event_type <> 'refused')")
        await sink.claim({SOURCE: 0})
        settler = BatchCommitter(sink, MemoryPublisher(DLQ), BreakerJudge(BRAKE_LIMITS, time.monotonic))
        await settler.settle([process(batch(*records), context(now_ms=now, policy=GIVE_UP))])
        await conn.execute(
            "UPDATE bridge_event_raw SET disposition = CASE raw_offset % 3 WHEN 1 THEN 'replayed' WHEN 2 THEN 'discarded' "
            "ELSE disposition END, replayed_as = CASE raw_offset % 3 WHEN 1 THEN $1 || ':0:' || 1000 + raw_offset END "
            "WHERE disposition = 'open'",
            RAW,
        )
    finally:
        await sink.close()
        await conn.close()


async def told(dsn: str, *words: str) -> Any:
    settings = {"BRIDGE_DATABASE_URL": dsn}
    return json.loads(
        (await asyncio.to_thread(bridge, *words, "--json-output", "-", settings=settings)).stdout.decode()
    )


async def test_figures_add_up_by_site(database_url: str) -> None:
    """A drop and its outcome count for the site of its dead letter, registered or not."""
    await drop_all(database_url)
    sent = Counter({(site, reason): EACH for reason, site, _ in REFUSALS})
    total: Counter[str] = Counter()
    for site in (REGISTERED, UNREGISTERED, NO_IDENTITY):
        found = (await told(database_url, "kpi", "--site-id", str(site)))["total"]
        assert {reason: found[reason] for reason in DroppedReason} == {
            reason: sent[site, reason] for reason in DroppedReason
        }
        causes = sum(1 for reason, of, _ in REFUSALS if of == site and reason is not DUPLICATE)
        assert [found[name] for name in ("recovered", "discarded", "open", "replaying")] == [causes] * 3 + [0]
        assert found["dropped"] == causes * 3 + found["duplicate_event_id"]
        assert found["finished"] == found["normalized"] + found["dropped"]
        total.update({name: count for name, count in found.items() if isinstance(count, int)})
    everything = (await told(database_url, "kpi"))["total"]
    assert {name: everything[name] for name in total} == dict(total)


async def test_the_gates_drops_add_up_by_site(database_url: str) -> None:
    """Unregistered sites have rows of their own; the verdict is judged by the windows' counts."""
    await drop_all(database_url)
    shown = {one["target"]: one for one in await told(database_url, "gate", "show")}
    assert list(shown) == ["site:0", "site:1", "site:12", "total"]
    for site in (REGISTERED, UNREGISTERED, NO_IDENTITY):
        of_site = shown[f"site:{site}"]
        assert of_site["drops"] == EACH * sum(1 for _, of, _ in REFUSALS if of == site)
        parts = ("drops_duplicates", "recovered", "replaying", "discarded", "open")
        assert of_site["drops"] == sum(of_site[name] for name in parts)
    sites = [one for target, one in shown.items() if target != "total"]
    for name in ("processed", "dropped", "drops", "recovered", "discarded", "open"):
        assert sum(one[name] for one in sites) == shown["total"][name]
    assert shown["total"]["dropped"] == shown["total"]["drops"]
    assert (shown["site:12"]["processed"], shown["site:12"]["passed"]) == (0, True)
