"""`POST /api/bridge/{script_id}/events`: the way of events into Kafka."""

import time
from typing import Final

import msgspec
from aiokafka.errors import MessageSizeTooLargeError

from bridge.gateway.access import Grant, admit
from bridge.gateway.elements import LINES_TYPES, Element, Elements, identify, split
from bridge.gateway.idempotency import idempotency_key
from bridge.gateway.publisher import Delivery, HeaderList
from bridge.gateway.request import Request
from bridge.gateway.services import Services
from bridge.gateway.shares import shares_of
from bridge.http.answer import JSON_TYPE, Answer
from bridge.http.body import WHOLE_BODY
from bridge.http.problems import Code, Problem
from bridge.http.room import Held
from bridge.publish.lines import MAX_LINE_BYTES
from schemas import headers as names
from schemas.uuid7 import uuid7s
from sinks import metrics

_ACCEPTED: Final = metrics.GATEWAY_EVENTS.labels("accepted")
_REJECTED: Final = metrics.GATEWAY_EVENTS.labels("rejected")
_REPLAYED: Final = (b"idempotency-replayed", b"true")


class Result(msgspec.Struct, gc=False, omit_defaults=True):
    """What became of one event; an `event_id` of null is one that the stream will refuse."""

    index: int
    event_id: str | None
    status: str
    error_code: str = ""
    id_assigned: bool = False


class Receipt(msgspec.Struct, gc=False):
    """The body of a 202."""

    accepted: int
    rejected: int
    results: list[Result]
    request_id: str
    trace_id: str


_encode = msgspec.json.Encoder().encode


async def post_events(services: Services, request: Request) -> Answer:
    """Answers 202 once Kafka has acknowledged all events that it takes; raises Problem."""
    grant = admit(services.producers, services.tokens, request.script_id, request.headers, request.query)
    shares = shares_of(grant, request, services.hops)
    with services.requests.holding(shares, 1), services.room.holding(shares) as held:
        body, elements = await receive_events(services, request, held)
        key = idempotency_key(request.headers)
        if key is None:
            return await _publish(services, request, grant, elements, _assigned(elements)[0])
        # Anybody gets a browser's token: what is sent by one must not take a key from a server, or from another origin.
        found = services.idempotency.find((request.script_id, grant.origin), key, body)
        if found.answer is not None:
            return Answer(found.answer.status, found.answer.body, [*found.answer.headers, _REPLAYED])
        whose, ids = _assigned(elements, found.ids)
        services.idempotency.keep(found, ids, None)
        found.in_hand = True
        try:
            answer = await _publish(services, request, grant, elements, whose)
        finally:
            found.in_hand = False
        services.idempotency.keep(found, ids, answer)
        return answer


async def receive_events(services: Services, request: Request, held: Held) -> tuple[bytes, Elements]:
    """The inflated body of an admitted request, and its events, within all limits; raises Problem."""
    headers = request.headers
    body = await services.body.read(request.receive, headers, held, whole=WHOLE_BODY in request.scope)
    media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    elements = split(body, lines=media_type in LINES_TYPES)
    count = len(elements.values)
    if count > services.settings.gateway_max_events:
        raise Problem(Code.TOO_MANY_EVENTS, f"{count} events, at most {services.settings.gateway_max_events}")
    services.scripts.take(request.script_id, count)
    return body, elements


def _assigned(elements: Elements, ids: list[str] | None = None) -> tuple[list[Element], list[str]]:
    """Each event's id, those that lack one given one of `ids`, or a new one; and all that were given."""
    whose = [identify(value) for value in elements.values]
    count = sum(one.missing for one in whose)
    if not count:
        return whose, []
    if ids is None:
        ids = uuid7s(count, time.time_ns() // 1_000_000)
    more = iter(ids)
    return [Element(next(more), missing=True) if one.missing else one for one in whose], ids


def record_headers(request: Request, grant: Grant, received_at_ms: int) -> HeaderList:
    """What the gateway knows of a request, as its records bear it."""
    headers: HeaderList = [
        (names.RECEIVED_AT, str(received_at_ms).encode()),
        (names.SITE_ID, str(grant.script.site_id).encode()),
        (names.SCRIPT_ID, grant.script.script_id.encode()),
        (names.REQUEST_ID, request.ids.request_id),
        (names.TRACE_ID, request.ids.trace_id),
        (names.TRACEPARENT, request.ids.traceparent),
        (names.SENDER, grant.sender.value.encode()),
    ]
    if grant.origin is not None:
        headers.append((names.ORIGIN, grant.origin.encode()))
    return headers


async def _publish(
    services: Services, request: Request, grant: Grant, elements: Elements, whose: list[Element]
) -> Answer:
    publisher, site = services.publisher, grant.script.site_id
    seal = services.proof_keys.seal(site, grant.script.script_id, grant.sender, grant.origin)
    shared = record_headers(request, grant, time.time_ns() // 1_000_000)
    publisher.room(len(whose), sum(map(len, elements.values)))
    delivery = Delivery()
    results = []
    rejected = 0
    for index, (value, (event_id, missing)) in enumerate(zip(elements.values, whose, strict=True)):
        if len(value) > MAX_LINE_BYTES:
            results.append(Result(index, event_id, "rejected", Code.EVENT_TOO_LARGE.value))
            rejected += 1
            continue
        assigned = event_id.encode() if missing and event_id else b""
        headers = [*shared, (names.PROOF, seal.proof(assigned, value))]
        if assigned:
            headers.append((names.EVENT_ID, assigned))
        publisher.add(delivery, f"{site}:{event_id}".encode() if event_id else None, value, headers)
        results.append(Result(index, event_id, "accepted", id_assigned=missing))
    accepted = len(results) - rejected
    if not accepted:
        raise Problem(Code.EVENT_TOO_LARGE, f"an event may have {MAX_LINE_BYTES} bytes")
    if not await delivery.acknowledged(services.publish_seconds):
        if isinstance(delivery.error, MessageSizeTooLargeError):
            raise Problem(Code.EVENT_TOO_LARGE, "Kafka's topic takes less than this")
        raise Problem(Code.KAFKA_UNAVAILABLE)
    _ACCEPTED.inc(accepted)
    if rejected:
        _REJECTED.inc(rejected)
    ids = request.ids
    receipt = Receipt(accepted, rejected, results, ids.request_id.decode(), ids.trace_id.decode())
    return Answer(202, _encode(receipt), [JSON_TYPE])
