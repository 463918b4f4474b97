"""Events that the stream will refuse. The gateway finds them with the stream's decoder and normaliser.

The number of such events from visitors is limited. Servers are charged for theirs.
"""

import random
from collections.abc import Sequence
from datetime import UTC, datetime
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
from streams.pipeline.reading import read_event
from streams.pipeline.rejection import Rejection
from telemetry import metrics

_MOST_BEYOND: Final = 10
# In the stream, a dead letter costs about as much as twelve rows, and a retried event about as much as forty.
_COST_OF_REFUSED: Final = 12
_COST_OF_RETRIED: Final = 40
# One of this many events of servers is checked. A check costs more than all other work of the gateway for an event.
_ONE_OF: Final = 16


def vouched_by(grant: Grant, assigned: str | None) -> Vouched:
    """Return what the gateway's headers prove about the event, as the stream reads it.

    `assigned` is the assigned id.
    """
    return Vouched(grant.script.site_id, grant.script.script_id, grant.sender, assigned)


def judge(services: Services, value: bytes, vouched: Vouched, received_at_ms: int) -> BridgeEvent:
    """Return the bridge event, without its provenance; raises Rejection. Duplicates are not detected.

    The provenance is the topic, partition and offset of the record, which do not exist before publishing.
    """
    return read_event(
        value,
        vouched,
        received_at=datetime.fromtimestamp(received_at_ms / 1000, UTC),
        provenance=Provenance(services.settings.topics.raw, 0, 0),
        attempt=1,
        registry=services.producers.current,
        bounds=services.bounds,
        sender=vouched.sender,
    )


def charge_refused(
    services: Services, grant: Grant, values: Sequence[bytes], whose: Sequence[Element], received_at_ms: int
) -> None:
    """Charge a server's script for the cost of its refused events, measured on a sample.

    Later requests may be refused for it.

    So the refused events of a script take no more of the stream than its valid events could, and don't delay other
    scripts.
    """
    stands_for = max(len(values), _ONE_OF)
    # The choice is no secret, so a pseudo-random number is enough.
    index = int(random.random() * stands_for)  # noqa: S311
    if index >= len(values):
        return
    if refusal := _refusal(services, grant, values[index], whose[index], received_at_ms):
        ends = ERRORS[refusal.error_class].action is Action.DROP
        more = (_COST_OF_REFUSED if ends else _COST_OF_RETRIED) - 1
        services.allowances.of(grant.sender).events.charge(grant.script.script_id, more * stands_for)


class _Refusal(NamedTuple):
    """The reason of the stream's rejection.

    It does not contain the exception, whose traceback would keep the request in memory until a garbage collection.
    """

    error_class: ErrorClass
    message: str


def _refusal(services: Services, grant: Grant, value: bytes, whose: Element, received_at_ms: int) -> _Refusal | None:
    """Return why the stream would reject the event, or None."""
    try:
        judge(services, value, vouched_by(grant, whose.event_id if whose.missing else None), received_at_ms)
    except Rejection as rejection:
        return _Refusal(rejection.error_class, rejection.message)
    return None


def _is_bounded(error_class: ErrorClass) -> bool:
    """Return whether the number of refusals of this class is limited.

    Permanent refusals are, and unknown versions from visitors. A visitor can invent a version, and retries cost more
    than a drop. The limit leaves room for pages that are newer than the workers for a short time.
    """
    return ERRORS[error_class].action is Action.DROP or error_class is ErrorClass.UNSUPPORTED_SCHEMA_VERSION


class RefusedEvents:
    """The events of a visitor's request that the stream will certainly refuse.

    A limited number is sent to Kafka, so that operators see them and can replay them. The others are not sent.
    """

    def __init__(self, services: Services, grant: Grant, address: str) -> None:
        self._services = services
        self._grant = grant
        self._whose = (grant.script.script_id, address)

    async def beyond_bound(
        self, values: Sequence[bytes], whose: Sequence[Element], received_at_ms: int, work: Work
    ) -> dict[int, str]:
        """Return the reasons of refused events over the limit, by index.

        Raises Problem if all events of the request are such.

        A check costs more than any other step. So if none of the refused events found so far is within the limit, a few
        of them are enough to refuse the whole request.
        """
        beyond: dict[int, str] = {}
        let_through = 0
        for index, (value, own) in enumerate(zip(values, whose, strict=True)):
            if why := self._refusal(value, own, received_at_ms):
                if self._let_through():
                    let_through += 1
                else:
                    beyond[index] = why
                if len(beyond) >= _MOST_BEYOND and not let_through:
                    raise self._too_many(beyond, len(values))
            await work.let_others()
        if len(beyond) == len(values):
            raise self._too_many(beyond, len(values))
        return beyond

    def _too_many(self, beyond: dict[int, str], count: int) -> Problem:
        # The whole request is refused, so the events that are valid or were not checked are not sent either.
        self._count("with_request", count - len(beyond))
        allowances = self._services.allowances
        first = next(iter(beyond.values()))
        return Problem(
            Code.TOO_MANY_REFUSED,
            f"the limit is {allowances.refused_per_minute} refused events a minute from one address, "
            f"{allowances.refused_of_an_address} for all scripts; the first: {first}",
            retry_after=allowances.seconds_until_refused(*self._whose),
        )

    def _refusal(self, value: bytes, whose: Element, received_at_ms: int) -> str:
        """Return why the stream permanently refuses the event, or an empty string if a retry could succeed."""
        refusal = _refusal(self._services, self._grant, value, whose, received_at_ms)
        if refusal is None or not _is_bounded(refusal.error_class):
            return ""
        return f"{refusal.error_class}: {refusal.message}"

    def _let_through(self) -> bool:
        let = self._services.allowances.lets_refused(*self._whose)
        self._count("let_through" if let else "rejected")
        return let

    def _count(self, outcome: str, count: int = 1) -> None:
        metrics.GATEWAY_REFUSED_EVENTS.labels(*metrics.labels_of(self._grant.script), outcome).inc(count)
