"""Events that the stream will refuse, or that cost it much. The gateway checks them with the stream's normaliser.

A limited number of refused events from visitors (browsers) is sent. Refused events from servers, and events that take
long to check, count several times towards the rate limits.
"""

import math
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from time import thread_time
from typing import Final, NamedTuple

from bridge.gateway.admission.access import Grant
from bridge.gateway.admission.line import Work
from bridge.gateway.elements import Element
from bridge.gateway.services import Services
from bridge.http.problems import Code, Problem
from schemas.events.bridge_event import BridgeEvent
from schemas.kafka.vouched import Vouched
from schemas.pipeline.record import Provenance
from schemas.reasons import ERRORS, Action, ErrorClass
from sinks.postgres import copy_encoder
from streams.pipeline.normalize import forget_texts
from streams.pipeline.reading import read_event
from streams.pipeline.rejection import Rejection
from streams.rules.event_weight import weight
from telemetry import metrics
from telemetry.gc_tuning import collecting_later

_MOST_BEYOND: Final = 10
# In the stream, a dead letter costs about as much as twelve rows, and a retried event about as much as forty.
_COST_OF_REFUSED: Final = 12
_COST_OF_RETRIED: Final = 40
# One of this many events of servers is checked. A check costs more than all other work of the gateway for an event.
_ONE_OF: Final = 16
# A check takes 0.02 ms for most events. A worker takes as long for the same work, and 0.03 to 0.09 ms for the rest.
_SECONDS_OF_ONE: Final = 0.00005
# The check of a long event takes up to four times as long as events of its weight, on a machine half as fast eight.
_USUAL: Final = 8
# The most events that one counts as by its time, for each that it weighs. A garbage collection within the check counts
# in its time.
_MOST_BY_TIME: Final = 20


def vouched_by(grant: Grant, assigned: str | None) -> Vouched:
    """Return what the gateway will state in the record's headers about the event's site, script, sender and id.

    `assigned` is the event id that the gateway has assigned; None if the event has an id of its own.
    """
    return Vouched(grant.script.site_id, grant.script.script_id, grant.sender, assigned)


def judge(services: Services, value: bytes, vouched: Vouched, received_at_ms: int) -> BridgeEvent:
    """Normalise the raw event `value` as the stream would, and return the bridge event; raises Rejection.

    The bridge event lacks its provenance (topic, partition and offset of the record), which does not exist before the
    record is published. Duplicates are not detected.
    """
    # A garbage collection would look at all that the event consists of, and more than double the time of a large one.
    with collecting_later():
        return read_event(
            value,
            vouched,
            datetime.fromtimestamp(received_at_ms / 1000, UTC),
            Provenance(services.settings.topics.raw, 0, 0),
            services.producers.current,
            services.bounds,
        )


def charge_costs(
    services: Services,
    grant: Grant,
    address: str,
    values: Sequence[bytes],
    whose: Sequence[Element],
    received_at_ms: int,
) -> None:
    """Count a server's event that the stream will refuse, or that takes long to check, as several events.

    Such an event costs the stream more than another one of its weight. The number of such events is estimated from a
    sample. Later requests of the script may be refused for it. This way these events of a script take no more of the
    stream's time than its other events could, and don't delay other scripts.
    """
    stands_for = max(len(values), _ONE_OF)
    # The choice is no secret, so a pseudo-random number is enough.
    index = int(random.random() * stands_for)  # noqa: S311
    if index >= len(values):
        return
    check = _checked(services, grant, values[index], whose[index], received_at_ms)
    if more := check.more + check.refused:
        services.rate_limits.of(grant.sender).events_of(grant.script, address).charge(more * stands_for)


class _Refusal(NamedTuple):
    """Why the stream would reject an event: the error class and the message.

    The exception itself is not kept, because its traceback would keep the request in memory until a garbage collection.
    """

    error_class: ErrorClass
    message: str


class _Check(NamedTuple):
    """The refusal of an event, if the stream would reject it, and the events that it counts as beyond its weight.

    `more` is for the time of the check, and `refused` for what the stream does with a refused event beside reading it.
    """

    refusal: _Refusal | None
    more: int
    refused: int


def _checked(services: Services, grant: Grant, value: bytes, whose: Element, received_at_ms: int) -> _Check:
    vouched = vouched_by(grant, whose.event_id if whose.missing else None)
    refusal, seconds = _timed(services, value, vouched, received_at_ms)
    if seconds > _SECONDS_OF_ONE and seconds > _SECONDS_OF_ONE * _USUAL * (weight(value) - 1):
        # A first check may load code, or be interrupted by a garbage collection. In the usual time of a long event such
        # a pause is a small part, and a second check would delay other requests by as much as the first one.
        seconds = min(seconds, _timed(services, value, vouched, received_at_ms)[1])
    reads, refused = 1, 0
    if refusal is not None:
        ends = ERRORS[refusal.error_class].action is Action.DROP
        # A worker reads a retried event again at each attempt.
        reads += 0 if ends else services.settings.max_retries
        refused = (_COST_OF_REFUSED if ends else _COST_OF_RETRIED) - 1
    by_time = reads * math.ceil(seconds / _SECONDS_OF_ONE)
    if by_time <= 1:
        return _Check(refusal, 0, refused)
    weighs = weight(value)
    return _Check(refusal, max(0, min(by_time, reads * _MOST_BY_TIME * weighs) - weighs), refused)


def _timed(services: Services, value: bytes, vouched: Vouched, received_at_ms: int) -> tuple[_Refusal | None, float]:
    """Return why the stream would reject the event, or None, and the processor time of the check in seconds.

    The time includes what a worker does with an event after the check. It is that of texts which no other event has.
    """
    forget_texts()
    began = thread_time()
    refusal = None
    try:
        copy_encoder.encoded([judge(services, value, vouched, received_at_ms)])
    except Rejection as rejection:
        refusal = _Refusal(rejection.error_class, rejection.message)
    return refusal, thread_time() - began


def _is_bounded(error_class: ErrorClass) -> bool:
    """Return whether visitors may only send a limited number of events that the stream refuses with this error class.

    The number is limited for errors that the stream does not retry, and for unknown schema versions. A visitor can
    invent a version, and the stream's retries cost more than a drop. The limit leaves room for web pages whose schema
    version is newer than the workers for a short time.
    """
    return ERRORS[error_class].action is Action.DROP or error_class is ErrorClass.UNSUPPORTED_SCHEMA_VERSION


class RefusedEvents:
    """The events of a visitor's request that the stream will certainly refuse.

    A limited number of them is sent to Kafka, so that operators see these events as dead letters and can replay them.
    The others are not sent.
    """

    def __init__(self, services: Services, grant: Grant, address: str) -> None:
        self._services = services
        self._grant = grant
        self._whose = (grant.script.script_id, address)
        self._limits = services.rate_limits.of(grant.sender).events_of(grant.script, address)
        self._exhausted: Problem | None = None
        """The refusal by a rate limit that an event would have exceeded by its cost to the stream."""

    async def beyond_bound(
        self, values: Sequence[bytes], whose: Sequence[Element], received_at_ms: int, work: Work
    ) -> dict[int, str]:
        """Return the events that are not sent to Kafka, because they are over the limit of refused events.

        The result maps the index of such an event to the reason why the stream would refuse it. Raises Problem if this
        is true of all events of the request.

        To check an event costs more than any other step. So the whole request is refused after a few refused events, if
        all of these were over the limit.
        """
        beyond: dict[int, str] = {}
        let_through = 0
        for index, (value, own) in enumerate(zip(values, whose, strict=True)):
            refusal, more, refused = _checked(self._services, self._grant, value, own, received_at_ms)
            if refusal is not None:
                # The bound alone keeps those that the stream drops from delaying others, so an address can't use up its
                # script's share by them.
                costs = 0 if ERRORS[refusal.error_class].action is Action.DROP else more + refused
                if self._let_through(refusal, costs):
                    let_through += 1
                    more = max(more, costs)
                else:
                    beyond[index] = f"{refusal.error_class}: {refusal.message}"
            if more:
                self._limits.charge(more)
            if len(beyond) >= _MOST_BEYOND and not let_through:
                raise self._too_many(beyond, len(values))
            await work.let_others()
        if len(beyond) == len(values):
            raise self._too_many(beyond, len(values))
        return beyond

    def _too_many(self, beyond: dict[int, str], count: int) -> Problem:
        # The whole request is refused, so the events that are valid or were not checked are not sent either.
        self._count("with_request", count - len(beyond))
        if (exhausted := self._exhausted) is not None:
            self._exhausted = None
            return exhausted
        rate_limits = self._services.rate_limits
        first = next(iter(beyond.values()))
        return Problem(
            Code.TOO_MANY_REFUSED,
            f"the limit is {rate_limits.refused_per_minute} refused events a minute from one address, "
            f"{rate_limits.refused_of_an_address} for all scripts; the first: {first}",
            retry_after=rate_limits.seconds_until_refused(*self._whose),
        )

    def _let_through(self, refusal: _Refusal, costs: int) -> bool:
        """Return whether the event may be sent to Kafka; `costs` are the events that it counts as beyond its weight."""
        is_bounded = _is_bounded(refusal.error_class)
        let = self._affords(costs) and (not is_bounded or self._services.rate_limits.lets_refused(*self._whose))
        if is_bounded or not let:
            self._count("let_through" if let else "rejected")
        return let

    def _affords(self, costs: int) -> bool:
        # Charged later, the costs of many requests at once would become a debt that refuses others for a minute.
        if costs:
            try:
                self._limits.ask(costs)
            except Problem as exhausted:
                # The exception's traceback refers to this object, and would keep the request until a garbage collection.
                self._exhausted = Problem(exhausted.code, exhausted.detail, retry_after=exhausted.retry_after)
                return False
        return True

    def _count(self, outcome: str, count: int = 1) -> None:
        metrics.GATEWAY_REFUSED_EVENTS.labels(*metrics.labels_of(self._grant.script), outcome).inc(count)
