"""Route `POST /api/bridge/{script_id}/events:validate`: shows what the stream would do with events, and sends none."""

import math
import time
from contextlib import ExitStack
from time import thread_time
from typing import Any, Final

import msgspec

from bridge.gateway.admission.access import Grant
from bridge.gateway.admission.line import Work
from bridge.gateway.admission.refused_events import judge, vouched_by
from bridge.gateway.admission.shares import shares_of
from bridge.gateway.elements import identify
from bridge.gateway.request import Request
from bridge.gateway.routes.events import admitted, begin, hold_until_sent, places_in_flight, receive_events
from bridge.gateway.services import Services
from bridge.http.answer import JSON_TYPE, Answer
from bridge.http.byte_budget import Held
from schemas.kafka.vouched import Vouched
from schemas.reasons import ERRORS
from schemas.uuid7 import uuid7
from streams.pipeline.identity import claim_note
from streams.pipeline.rejection import Rejection

_SECONDS_OF_ONE: Final = 0.00025
"""The processor time of one event. Most take less, and 64 KiB that can't be stored take 10 ms."""
_LEFT_OUT: Final = "valid; the response is too long to contain this event: validate fewer events in one request"
# The place of an event is not known before the event is published.
_NOT_FROM_AN_EVENT = ("raw_topic", "raw_partition", "raw_offset", "attempt")


async def post_validate(services: Services, request: Request) -> Answer:
    """Run the stream's own normaliser; raises Problem.

    Duplicates, and errors that only Postgres finds, are not detected.

    The result of an event can be several times as long as the event. So the response counts towards the sender's share
    of memory (the byte budget) until it is sent. If other senders need the memory meanwhile, the connection is closed.
    """
    grant = admitted(services, request)
    shares = shares_of(grant, request.address)
    with ExitStack() as holding:
        held = holding.enter_context(services.budget.holding(shares))
        with places_in_flight(services, request, grant) as place, begin(services, request, grant) as work:
            answer = await _judge_all(services, request, grant, place, held, work)
        hold_until_sent(answer, request, held, holding)
        return answer


async def _judge_all(services: Services, request: Request, grant: Grant, place: Held, held: Held, work: Work) -> Answer:
    limits = services.rate_limits.of(grant.sender).validated_of(grant.script, request.address)
    _, elements, counted = await receive_events(services, request, place, held, work, limits)
    limits.take(counted)
    seconds = 0.0
    now_ms = time.time_ns() // 1_000_000
    results: list[msgspec.Raw] = []
    valid, left = 0, services.settings.gateway_max_body_bytes
    for index, value in enumerate(elements.values):
        began = thread_time()
        assigned = uuid7(now_ms) if identify(value).missing else None
        judged = {"index": index} | _judged(services, value, vouched_by(grant, assigned), now_ms)
        valid += judged["status"] == "valid"
        encoded = msgspec.json.encode(judged)
        if len(encoded) > left and judged.pop("event", None) is not None:
            encoded = msgspec.json.encode(judged | {"message": _LEFT_OUT})
        left -= len(encoded)
        results.append(msgspec.Raw(encoded))
        seconds += thread_time() - began
        if (more := math.ceil(seconds / _SECONDS_OF_ONE) - counted) > 0:
            limits.charge(more)
            counted += more
        await work.let_others()
    answer = {
        "valid": valid,
        "invalid": len(results) - valid,
        "results": results,
        "request_id": request.ids.request_id.decode(),
        "trace_id": request.ids.trace_id.decode(),
    }
    return Answer(200, msgspec.json.encode(answer), [JSON_TYPE])


def _judged(services: Services, value: bytes, vouched: Vouched, now_ms: int) -> dict[str, Any]:
    try:
        event = judge(services, value, vouched, now_ms)
    except Rejection as rejection:
        return {
            "status": "invalid",
            "error_code": rejection.error_class.value,
            # The same text as in the dead letter.
            "message": rejection.message + claim_note(vouched, rejection.identity),
            "violations": list(rejection.violations),
            "action": ERRORS[rejection.error_class].action.value,
        }
    fields: dict[str, Any] = msgspec.to_builtins(event)
    for name in _NOT_FROM_AN_EVENT:
        fields.pop(name, None)
    fields["properties"] = msgspec.Raw(event.properties.encode())
    fields["original"] = None if event.original is None else msgspec.Raw(event.original.encode())
    return {"status": "valid", "event": fields}
