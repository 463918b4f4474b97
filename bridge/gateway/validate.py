"""`POST /api/bridge/{script_id}/events:validate`: what the stream would make of events, without sending any."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import msgspec

from bridge.gateway.access import Grant, admit
from bridge.gateway.elements import identify
from bridge.gateway.events import receive_events
from bridge.gateway.request import Request
from bridge.gateway.services import Services
from bridge.gateway.shares import shares_of
from bridge.http.answer import JSON_TYPE, Answer
from bridge.http.room import Held
from schemas.reasons import ERRORS
from schemas.record import Provenance
from schemas.uuid7 import uuid7
from schemas.vouched import Vouched
from streams.decode import decode
from streams.normalize import normalize
from streams.rejection import Rejection

_EVENTS_A_TURN = 50
# Where the event would stand is not known before it is published.
_NOT_FROM_AN_EVENT = ("raw_topic", "raw_partition", "raw_offset", "attempt")


async def post_validate(services: Services, request: Request) -> Answer:
    """Runs the stream's own normaliser; duplicates, and what only Postgres knows, it can't tell. Raises Problem."""
    grant = admit(services.producers, services.tokens, request.script_id, request.headers, request.query)
    shares = shares_of(grant, request, services.hops)
    with services.requests.holding(shares, 1), services.room.holding(shares) as held:
        return await _judge_all(services, request, grant, held)


async def _judge_all(services: Services, request: Request, grant: Grant, held: Held) -> Answer:
    _, elements = await receive_events(services, request, held)
    now_ms = time.time_ns() // 1_000_000
    results: list[dict[str, Any]] = []
    for index, value in enumerate(elements.values):
        assigned = uuid7(now_ms) if identify(value).missing else None
        vouched = Vouched(grant.script.site_id, grant.script.script_id, grant.sender, assigned)
        results.append({"index": index} | _judged(services, value, vouched, now_ms))
        if index % _EVENTS_A_TURN == _EVENTS_A_TURN - 1:
            await asyncio.sleep(0)
    valid = sum(one["status"] == "valid" for one in results)
    body = {
        "valid": valid,
        "invalid": len(results) - valid,
        "results": results,
        "request_id": request.ids.request_id.decode(),
        "trace_id": request.ids.trace_id.decode(),
    }
    return Answer(200, msgspec.json.encode(body), [JSON_TYPE])


def _judged(services: Services, value: bytes, vouched: Vouched, now_ms: int) -> dict[str, Any]:
    try:
        event = normalize(
            decode(value, vouched),
            received_at=datetime.fromtimestamp(now_ms / 1000, UTC),
            provenance=Provenance(services.settings.topics.raw, 0, 0),
            attempt=1,
            registry=services.producers.current,
            bounds=services.bounds,
            sender=vouched.sender,
        )
    except Rejection as rejection:
        return {
            "status": "invalid",
            "error_code": rejection.error_class.value,
            "message": rejection.message,
            "action": ERRORS[rejection.error_class].action.value,
        }
    fields: dict[str, Any] = msgspec.to_builtins(event)
    for name in _NOT_FROM_AN_EVENT:
        fields.pop(name, None)
    fields["properties"] = msgspec.Raw(event.properties.encode())
    return {"status": "valid", "event": fields}
