"""Route `POST /api/bridge/{script_id}/events`: receives events and publishes them to Kafka."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Final

import msgspec
from aiokafka.errors import MessageSizeTooLargeError

from bridge.gateway.admission.access import Grant, KeyRefused, admit
from bridge.gateway.admission.idempotency import idempotency_key
from bridge.gateway.admission.line import Work
from bridge.gateway.admission.rate_limits import Bill, EventLimits
from bridge.gateway.admission.refused_events import RefusedEvents, charge_costs
from bridge.gateway.admission.shares import shares_of
from bridge.gateway.delivery import Delivery
from bridge.gateway.elements import LINES_TYPES, Element, Elements, identify, split
from bridge.gateway.publisher import HeaderList, header_bytes
from bridge.gateway.request import Request
from bridge.gateway.services import Services
from bridge.http.answer import CLOSE, JSON_TYPE, PART_BYTES, Answer, Message
from bridge.http.body import BODY_BYTES, WHOLE_BODY, WIRE_BYTES
from bridge.http.byte_budget import Held
from bridge.http.problems import Code, Problem
from bridge.http.refusal_log import REFUSED
from bridge.http.wire.cost import COST, Cost
from bridge.publish.lines import MAX_LINE_BYTES
from schemas.kafka import headers as names
from schemas.pipeline.sender import Sender
from schemas.uuid7 import uuid7s
from streams.rules.event_weight import weight
from telemetry import metrics

_ACCEPTED: Final = metrics.GATEWAY_EVENTS.labels("accepted")
_REJECTED: Final = metrics.GATEWAY_EVENTS.labels("rejected")
_REPLAYED: Final = (b"idempotency-replayed", b"true")
_IS_ACCEPTED: Final = "accepted"
_IS_REJECTED: Final = "rejected"
_LONG_BYTES: Final = 16 * 1024
"""To split a larger body may take more than a slice of the loop's time, so it waits behind smaller bodies."""


class Result(msgspec.Struct, gc=False, omit_defaults=True):
    """The result of one event in the response. If `event_id` is null, the stream will refuse the event."""

    index: int
    event_id: str | None
    status: str
    error_code: str = ""
    id_assigned: bool = False
    message: str = ""


class Receipt(msgspec.Struct, gc=False):
    """The body of a 202 response."""

    accepted: int
    rejected: int
    results: list[Result]
    request_id: str
    trace_id: str


_encode = msgspec.json.Encoder().encode


async def post_events(services: Services, request: Request) -> Answer:
    """Answer 202 when Kafka has acknowledged all accepted events; raises Problem.

    The response can be longer than the body. So it counts towards the sender's share of memory until it is sent.
    """
    grant = admitted(services, request)
    shares = shares_of(grant, request.address)
    with ExitStack() as holding:
        held = holding.enter_context(services.budget.holding(shares))
        with places_in_flight(services, request, grant) as place, begin(services, request, grant) as work:
            answer = await _accept(services, request, grant, place, held, work)
        if len(answer.body) > PART_BYTES:
            hold_until_sent(answer, request, held, holding)
        return answer


def places_in_flight(services: Services, request: Request, grant: Grant) -> Held:
    """Return the context in which the request counts towards the limit of requests in flight, once its body has arrived."""
    return services.requests.holding(shares_of(grant, request.address, is_late=services.lateness.is_late))


def hold_until_sent(answer: Answer, request: Request, held: Held, holding: ExitStack) -> None:
    """Count the response towards its sender's share until it is sent; raises Problem if the share is exhausted.

    If other senders need the memory meanwhile, the connection is closed. `holding` is the context that ends `held`.
    """
    held.grow_to(len(answer.body))
    if (close := request.scope.get(CLOSE)) is not None:
        held.waits(close)
    answer.holding = holding.pop_all()


async def _accept(services: Services, request: Request, grant: Grant, place: Held, held: Held, work: Work) -> Answer:
    limits = services.rate_limits.of(grant.sender).events_of(grant.script, request.address)
    body, elements, counted = await receive_events(services, request, place, held, work, limits)
    request.events = len(elements.values)
    limits.take(counted)
    key = idempotency_key(request.headers)
    if key is None:
        ids = await _assigned(elements, work, lambda count: uuid7s(count, time.time_ns() // 1_000_000))
        return await _publish(services, request, grant, elements, ids, held, work)
    # Every visitor can get a token, so visitors' keys are separate from those of servers and of other origins.
    known, sender = services.idempotency[grant.sender], (request.script_id, grant.origin)
    found = known.find(sender, key, body, map(len, elements.values))
    if found.answer is not None:
        return Answer(found.answer.status, found.answer.body, [*found.answer.headers, _REPLAYED])
    found.in_hand = True
    try:
        derive = partial(services.event_ids.derive, grant.sender, *sender, key, found.digest)
        ids = await _assigned(elements, work, derive)
        answer = await _publish(services, request, grant, elements, ids, held, work)
    finally:
        found.in_hand = False
    known.keep(sender, found, answer)
    return answer


def admitted(services: Services, request: Request) -> Grant:
    """Authenticate the request and record its sender; raises Problem. The time after this is charged to the sender."""
    try:
        grant = admit(services.producers, services.tokens, request.script_id, request.headers, request.query)
    except KeyRefused:
        request.from_server = True
        raise
    request.from_server = grant.sender is Sender.SERVER
    cost: Cost | None = request.scope.get(COST)
    if cost is not None:
        cost.admitted(is_server=request.from_server)
    return grant


def begin(services: Services, request: Request, grant: Grant) -> Work:
    """Return the request's work on the event loop, as a context.

    The work's processor time, and the request's earlier cost, are charged to the request's script and address.
    """
    bill = Bill(services.rate_limits, grant, request.address)
    request.work = services.lines[grant.sender].work(bill, request.scope.get(COST))
    return request.work


async def receive_events(
    services: Services,
    request: Request,
    place: Held,
    held: Held,
    work: Work,
    limits: EventLimits,
) -> tuple[bytes, Elements, int]:
    """Return the body of an admitted request, its events, and how many they count as; raises Problem beyond a limit.

    The caller takes that number from `limits`, which have room for a body of this weight before it is split. A body that
    is refused because it has no events is charged to them. The bytes that were received are charged even if the request is refused. `held`
    counts them towards the limit of bytes in memory, `place` counts the request towards the limit of requests in flight.
    Before its body has arrived, the request waits for its client, and may be ended in favour of other senders.
    """
    headers = request.headers
    bill = work.bill
    bill.owes_nothing()
    wired = 0

    async def arrived() -> Message:
        nonlocal wired
        # The request leaves the line, so that no other request waits for a slow client.
        work.end()
        began = time.perf_counter()
        message: Message = {}
        try:
            message = await request.receive()
        finally:
            # These include a body that does not arrive. The bytes that frame chunks cost as much as content.
            request.waited += time.perf_counter() - began
            before, wired = wired, request.scope.get(WIRE_BYTES, 0)
            bill.charge(max(len(message.get("body", b"")), wired - before))
        if not message.get("more_body"):
            try:
                place.grow_to(1)
            except Problem:
                request.is_crowded = services.lateness.is_late
                raise
        work.begin()
        return message

    async def stand_in_line(size: int) -> None:
        if await work.stand_in_line(long=size > _LONG_BYTES or bill.exceeds_time):
            # Earlier requests in the line may have used up the limits meanwhile.
            bill.owes_nothing()

    async def inflated(size: int) -> None:
        await stand_in_line(size)
        bill.charge(size)
        await work.let_others()

    whole = WHOLE_BODY in request.scope
    body = await services.body.read(
        arrived, headers, held, whole=whole, so_far=lambda: request.scope.get(BODY_BYTES, 0), turn=stand_in_line,
        took=inflated,
    )  # fmt: skip
    await stand_in_line(len(body))
    media_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    # To split a body may take longer than all else, also if it has no events.
    least = weight(body)
    limits.ask(least)
    try:
        elements = split(body, lines=media_type in LINES_TYPES, most=services.settings.gateway_max_events)
    except Problem:
        limits.charge(least)
        raise
    await work.let_others()
    return body, elements, max(least, len(elements.values))


async def _assigned(elements: Elements, work: Work, make: Callable[[int], list[str]]) -> list[Element]:
    """Return each event's id. If an id is missing, `make` makes as many ids as there are events."""
    whose = []
    for value in elements.values:
        whose.append(identify(value))
        await work.let_others()
    if not any(one.missing for one in whose):
        return whose
    made = make(len(whose))
    return [Element(other, missing=True) if one.missing else one for one, other in zip(whose, made, strict=True)]


def record_headers(request: Request, grant: Grant, received_at_ms: int) -> HeaderList:
    """Return the headers of the request's records, which contain what the gateway knows about the request."""
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
    services: Services, request: Request, grant: Grant, elements: Elements, whose: list[Element], held: Held, work: Work
) -> Answer:
    publisher, site = services.publisher, grant.script.site_id
    received_at_ms = time.time_ns() // 1_000_000
    beyond: dict[int, str] = {}
    if grant.sender is Sender.VISITOR:
        refused = RefusedEvents(services, grant, request.address)
        beyond = await refused.beyond_bound(elements.values, whose, received_at_ms, work)
    else:
        charge_costs(services, grant, request.address, elements.values, whose, received_at_ms)
    receipt = _receipt(request, _results(elements.values, whose, beyond))
    body = _encode(receipt)
    # A response that its sender has no room for is refused before anything is published.
    held.grow_to(len(body))
    seal = services.proof_keys.seal(site, grant.script.script_id, grant.sender, grant.origin)
    shared = record_headers(request, grant, received_at_ms)
    size = sum(map(len, elements.values)) + len(whose) * header_bytes(shared)
    shares = shares_of(grant, request.address)
    with publisher.delivery(work.bill.turn, shares, len(whose), size) as delivery:
        for result, value, (event_id, missing) in zip(receipt.results, elements.values, whose, strict=True):
            if result.status == _IS_ACCEPTED:
                assigned = event_id.encode() if missing and event_id else b""
                headers = [*shared, (names.PROOF, seal.proof(assigned, value))]
                if assigned:
                    headers.append((names.EVENT_ID, assigned))
                publisher.add(delivery, f"{site}:{event_id}".encode() if event_id else None, value, headers)
            await work.let_others()
    work.end()
    await _acknowledged(services, grant, delivery)
    _count(request, grant, receipt)
    return Answer(202, body, [JSON_TYPE])


def _results(values: Sequence[bytes], whose: Sequence[Element], beyond: Mapping[int, str]) -> list[Result]:
    """Return the results of the events. Those in `beyond`, with a message, and those that are too long are rejected."""
    results = []
    for index, (value, (event_id, missing)) in enumerate(zip(values, whose, strict=True)):
        if index in beyond:
            code, message = Code.TOO_MANY_REFUSED, beyond[index]
            result = Result(index, event_id, _IS_REJECTED, code.value, message=message)
        elif len(value) > MAX_LINE_BYTES:
            result = Result(index, event_id, _IS_REJECTED, Code.EVENT_TOO_LARGE.value)
        else:
            result = Result(index, event_id, _IS_ACCEPTED, id_assigned=missing)
        results.append(result)
    return results


def _receipt(request: Request, results: list[Result]) -> Receipt:
    """Return the body of the response; raises Problem if no event is accepted."""
    accepted = sum(one.status == _IS_ACCEPTED for one in results)
    if not accepted:
        raise Problem(Code.EVENT_TOO_LARGE, f"the limit of an event is {MAX_LINE_BYTES} bytes")
    ids = request.ids
    return Receipt(accepted, len(results) - accepted, results, ids.request_id.decode(), ids.trace_id.decode())


async def _acknowledged(services: Services, grant: Grant, delivery: Delivery) -> None:
    """Wait until Kafka has acknowledged all records of the request; raises Problem if it does not in time."""
    if not await delivery.acknowledged(services.publish_seconds):
        if isinstance(delivery.error, MessageSizeTooLargeError):
            raise Problem(Code.EVENT_TOO_LARGE, "the event is larger than the limit of Kafka's topic")
        raise _unacknowledged(services, grant, delivery)


def _count(request: Request, grant: Grant, receipt: Receipt) -> None:
    _ACCEPTED.inc(receipt.accepted)
    if receipt.rejected:
        _REJECTED.inc(receipt.rejected)
        for code, count in Counter(one.error_code for one in receipt.results if one.error_code).items():
            REFUSED.count(code, grant.script, requests=0, events=count, by_server=request.from_server)


def _unacknowledged(services: Services, grant: Grant, delivery: Delivery) -> Problem:
    """Return the refusal of a request whose records Kafka has not acknowledged in time.

    A sender can choose the partition of its events and fill the partition's queue. A 503 would page the operators.
    """
    publisher = services.publisher
    if not publisher.stuck and delivery.waited_in_queue(services.publish_seconds / 2):
        if grant.sender is Sender.VISITOR:
            return Problem(Code.RATE_LIMITED, "visitors' events arrive faster than Kafka accepts them; send them again")
        # The first two names are the sender class and the organisation.
        if publisher.is_behind(delivery.sender[:2]):
            return Problem(
                Code.RATE_LIMITED,
                "the organisation's events for one partition arrive faster than Kafka accepts them; send them again",
            )
    return Problem(Code.KAFKA_UNAVAILABLE)
