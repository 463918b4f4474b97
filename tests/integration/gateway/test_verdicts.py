"""`events:validate` predicts what the stream does with an event, over hundreds of unusual ones."""

import json
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.events.settled import fetch, working
from support.processes.gateway import bearer, gateway, raw_records
from support.wait import wait_until

from schemas.config.settings import Settings

EVENTS = "/api/bridge/s1/events"
AT_ONCE = 250
UNLIMITED = {
    "gateway_script_events_per_second": 0,
    "gateway_org_events_per_second": 0,
    "gateway_address_events_per_second": 0,
    "gateway_visitors_events_per_second": 0,
    "gateway_validate_events_per_second": 0,
}
ASSIGNED = 36
FIELDS = (
    "event_id", "site_id", "script_id", "event_type", "occurred_at", "sent_at", "session_id", "visitor_id", "url",
    "referrer", "user_agent", "value", "currency", "properties", "schema_version", "unheard_of", "amount", "page",
)  # fmt: skip
ODD: tuple[object, ...] = (
    None, True, 0, 1, 2, 3, -1, 1.5, 1e-7, 1e20, 1e308, 2**31, 2**63 - 1, 2**63, 2**64, 253_402_300_799_999, [], [1], {},
    {"a": 1}, {"a": "\x00"}, {"_extra": {"a": 1}}, {"url": "https://b.example/?utm_source=x"}, {"url": 5}, "", " ", "\t", "a",
    "a" * 3, "x" * 64, "x" * 65, "é" * 128, "x" * 129, "y" * 3000, "\x00", "\x7f", "\u2028", "\ufeff", "\ud800", "\ud83d\ude00",
    "e\u0301", "eur", "XXX", "ZZZ", "ı", "12.5", "-0", "+1", "1e5", "1e400", "12.3456789", "1.10000000", ".5", "5.", "NaN", "0x1",
    "999999999999999.999999", "1000000000000000", "s1", "S1", "s2", "Page-View", "https://a.example/p?utm_source=a%00b#f",
    "https://a.example/?utm_source=%ff&utm_medium=", "HTTPS://MÜNCHEN.example:443/ä?q=%", "javascript:alert(1)", "//a.example/",
    "http://[::1", "http://a b/", "data:,x", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T00:00:00+25:00",
    "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-14:00", "2026-06-30T23:59:60Z",
)  # fmt: skip
TEXTS = (
    "{}", "[]", "null", "7", '"text"', "NaN", "{", '{"event_type":', "{'event_type':'x'}", '{"event_type":"c","occurred_at":%d,}',
    '{"event_type":"a","event_type":"c","occurred_at":%d}', '{"event_type":"c","event_type":5,"occurred_at":%d}',
    '{"event_id":5,"event_id":null,"event_type":"c","occurred_at":%d}', '{"\\u0065vent_type":"c","occurred_at":%d}',
    '{"event_type":"c","occurred_at":%d,"value":1e999}', '{"event_type":"c","occurred_at":%d,"value":0e999}',
    '{"event_type":"c","occurred_at":%d,"value":1.0e0}', '{"event_type":"c","occurred_at":%d,"properties":{"n":1e400}}',
    '{"event_type":"c","occurred_at":%d,"properties":{"n":-0.0}}', '{"event_type":"c","occurred_at":%d,"value":NaN}',
    '{"event_type":"c","occurred_at":%d,"properties":{"a":1,"a":2}}', '{"event_type":"c","occurred_at":%d,"properties":{"\\u0000":1}}',
    '{"event_type":"c","occurred_at":%d,"properties":{"\\ud800":1}}', '{"event_type":"c","occurred_at":%d,"properties":{"a":"\\q"}}',
    '{"event_type":"c","occurred_at":%d,"properties":' + "[" * 40 + "]" * 40 + "}",
    '{"event_type":"c","occurred_at":%d,"properties":' + '{"a":' * 30 + "1" + "}" * 30 + "}",
    '{"event_type":"c","occurred_at":%d,"properties":' + '{"a":' * 31 + "1" + "}" * 31 + "}",
    '{"event_type":"c","occurred_at":%d,"properties":{"n":' + "9" * 400 + "}}",
    '{"event_type":"c","occurred_at":%d,"properties":{"n":0.' + "1" * 400 + "}}",
    '{"event_type":"c","occurred_at":%d.0}', '{"event_type":"c","occurred_at":"%d"}', '{"event_type":"c","occurred_at":-%d}',
    '{"event_type":"c","occurred_at":%d}\u00a0',
)  # fmt: skip
BYTES = (
    b'{"event_type":"\xff"}', b"\xff\xfe{\x00}\x00", b'{"event_type":"c","properties":{"a":"\xed\xa0\x80"}}', b'{"a":"\x01"}',
)  # fmt: skip
# These depend on the time of reading, which differs in the stream.
BY_THE_CLOCK = {"received_at", "occurred_at", "sent_at", "normalized_at"}


def odd_events() -> list[bytes]:
    """Events with one unusual field or unusual as a whole; all are different and have different ids."""
    now = time.time_ns() // 1_000_000
    made = [text.replace("%d", str(now)).encode() for text in TEXTS] + list(BYTES)
    for field in FIELDS:
        for number, value in enumerate(ODD):
            sound = {"event_id": f"{field}-{number}", "event_type": "click", "occurred_at": now, "tag": len(made)}
            made.append(json.dumps(sound | {field: value}).encode())
    assert len(set(made)) == len(made)
    return made


@pytest.fixture
async def client(settings: Settings, key: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    with gateway(settings, tmp_path / "log", **UNLIMITED) as running:
        async with httpx.AsyncClient(base_url=running.url, headers=bearer(key), timeout=60) as made:
            yield made


async def results(client: httpx.AsyncClient, path: str, some: list[bytes]) -> list[dict[str, Any]]:
    """The results by line: in an array one that is not JSON could swallow its neighbours."""
    answer = await client.post(path, content=b"\n".join(some), headers={"content-type": "application/x-ndjson"})
    assert answer.status_code in (200, 202), answer.text
    found: list[dict[str, Any]] = numbers(answer.text)["results"]
    assert [one["index"] for one in found] == list(range(len(some)))
    return found


def numbers(text: str) -> Any:
    """JSON with numbers as Postgres stores them: exact, and 1e2 is 100."""
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


async def test_a_verdict_is_what_comes_of_it(client: httpx.AsyncClient, settings: Settings) -> None:
    """Valid events become exactly the predicted row; invalid ones fail with the predicted error class and message."""
    events = odd_events()
    said: dict[bytes, dict[str, Any]] = {}
    for begin in range(0, len(events), AT_ONCE):
        some = events[begin : begin + AT_ONCE]
        said |= zip(some, await results(client, f"{EVENTS}:validate", some), strict=True)
        assert {one["status"] for one in await results(client, EVENTS, some)} == {"accepted"}
    placed = {(record.partition, record.offset): record.value for record in await raw_records(settings)}
    assert sorted(placed.values()) == sorted(events)

    async def settled() -> bool:
        (row,) = await fetch(
            settings,
            "SELECT (SELECT count(*) FROM bridge_event) + (SELECT count(*) FROM bridge_event_raw WHERE dropped_reason <> '')",
        )
        return row[0] >= len(events)

    # Half of the events are dead letters on purpose, so the breaker must not trip.
    unbraked = settings.model_copy(update={"brake_min_events": 10**6, "brake_run_length": 10**6})
    async with working(unbraked):
        await wait_until(settled, budget_seconds=90, describe="every event settled")
    rows = await fetch(settings, "SELECT * FROM bridge_event")
    failed = await fetch(settings, "SELECT * FROM bridge_event_raw")
    different = []
    for row in rows:
        value = placed[row["raw_partition"], row["raw_offset"]]
        shown = said[value].get("event")
        if shown is None or not same(row, shown):
            different.append((value[:300], said[value], dict(row)))
    for row in failed:
        value = placed[row["raw_partition"], row["raw_offset"]]
        if said[value].get("error_code") != row["error_class"] or said[value].get("message") != row["last_error"]:
            different.append((value[:300], said[value], row["error_class"], row["last_error"]))
    assert different == []
    assert len(rows) > len(events) / 4
    assert len(failed) > len(events) / 4


def same(row: Any, shown: dict[str, Any]) -> bool:
    """Whether the row equals the prediction, apart from times and assigned ids."""
    for name in shown.keys() - BY_THE_CLOCK:
        value = shown[name]
        stored = numbers(row[name]) if name in ("properties", "original") and row[name] else row[name]
        if name == "value" and value is not None:
            value = Decimal(value)
        if stored != value and not (name == "event_id" and len(value) == ASSIGNED):
            return False
    return True
