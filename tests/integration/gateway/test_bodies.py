"""Bodies that differ from what their headers declare: accepted as what they are, or refused whole."""

import gzip
from pathlib import Path
from typing import NamedTuple

import httpx
from support.processes.gateway import bearer, gateway, raw_records

from schemas.config.settings import Settings

EVENTS = "/api/bridge/s1/events"
A, B = b'{"event_id":"a"}', b'{"event_id":"b"}'
JSON, LINES, FORM = "application/json", "application/x-ndjson", "application/x-www-form-urlencoded"
ARRAY = b"[" + A + b"," + B + b"]"


class Case(NamedTuple):
    """A body, its Content-Type and its error code; without a code it is accepted as the events A and B."""

    body: bytes
    media_type: str
    says: str = ""


CASES = [
    Case(gzip.compress(b'{"events":' + ARRAY + b"}"), JSON),
    Case(gzip.compress(A + b"\n" + B), "application/gzip"),
    Case(A + b"\n" + B + b"\n", JSON),
    Case(A + b"\n" + B + b"\n", FORM),
    Case(b"[\n" + A + b",\n" + B + b",\n]\n", LINES),
    Case(b"\xef\xbb\xbf" + ARRAY, JSON),
    Case(b"[" + A + b"," + B + b",]", JSON),
    Case(gzip.compress(gzip.compress(ARRAY)), JSON, "the body is gzip; send JSON in UTF-8, plain or compressed once"),
    Case(A + B, JSON, "several JSON texts in a row"),
    Case(A + b"," + B, JSON, "several JSON texts in a row"),
    Case(ARRAY.decode().encode("utf-16"), "application/json; charset=utf-16", "the body is UTF-16; send JSON in UTF-8"),
    Case(b"data=%5B%7B%22event_id%22%3A%22a%22%7D%5D", FORM, "a form; send the JSON alone"),
    Case(b'{"batch":' + ARRAY + b"}", JSON, "under `batch`"),
    Case(ARRAY + b"\n" + ARRAY, LINES, "the body contains no event"),
    Case(A + b"\n" + ARRAY, LINES, "an array within the array or line"),
]


async def test_a_body_is_never_one_dead_letter_for_a_batch(settings: Settings, key: str, tmp_path: Path) -> None:
    """An accepted body becomes its events; a refused one publishes nothing, and `detail` names the remedy."""
    with gateway(settings, tmp_path / "gateway.log") as running:
        async with httpx.AsyncClient(base_url=running.url, timeout=20) as client:
            for content, media_type, says in CASES:
                headers = bearer(key) | {"content-type": media_type}
                answer = await client.post(EVENTS, content=content, headers=headers)
                told = answer.json()
                if says:
                    assert (answer.status_code, told["error_code"]) == (400, "invalid_payload_json"), content
                    assert says in told["detail"]
                    judged = await client.post(f"{EVENTS}:validate", content=content, headers=headers)
                    assert judged.status_code == 400
                else:
                    assert (answer.status_code, told.get("accepted")) == (202, 2), (content, told)
            cut_off = await client.post(EVENTS, content=gzip.compress(ARRAY)[:-9], headers=bearer(key))
            assert "the gzip stream of the body is incomplete" in cut_off.json()["detail"]
            bomb = await client.post(EVENTS, content=gzip.compress(b" " * 2**21), headers=bearer(key))
            assert bomb.json()["error_code"] == "body_too_large"
    taken = [one for one in CASES if not one.says]
    records = await raw_records(settings)
    assert sorted(record.value or b"" for record in records) == sorted([A, B] * len(taken))
