"""Events that the stream will refuse, found with its own decoder and normaliser, and a limit of those of visitors."""

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
# A dead letter costs the stream as much as about twelve rows, and a retried event as much as about forty.
_COST_OF_REFUSED: Final = 12
_COST_OF_RETRIED: Final = 40
# One of so many events of servers is checked: a check costs more than all other work of the gateway for an event.
_ONE_OF: Final = 16


def vouched_by(grant: Grant, assigned: str | None) -> Vouched:
    """Return what the gateway vouches for, with the id that it assigned, as the stream reads it from the headers."""
    return Vouched(grant.script.site_id, grant.script.script_id, grant.sender, assigned)


def judge(services: Services, value: bytes, vouched: Vouched, received_at_ms: int) -> BridgeEvent:
    """Return the bridge event, without its provenance; raises Rejection. Duplicates are not detected."""
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
    """Charge a server's script for the cost of refused events, by a sample: later requests may be refused for it.

    So one script's refused events take no more of the stream than its good events could, and don't delay other scripts.
    """
    stands_for = max(len(values), _ONE_OF)
    # No secret depends on the chosen event.
    index = int(random.random() * stands_for)  # noqa: S311
    if index >= len(values):
        return
    if refusal := _refusal(services, grant, values[index], whose[index], received_at_ms):
        ends = ERRORS[refusal.error_class].action is Action.DROP
        more = (_COST_OF_REFUSED if ends else _COST_OF_RETRIED) - 1
        services.allowances.of(grant.sender).events.charge(grant.script.script_id, more * stands_for)


class _Refusal(NamedTuple):
    """The stream's rejection, without the exception: the request's frames in it would wait for garbage collection."""

    error_class: ErrorClass
    message: str


def _refusal(services: Services, grant: Grant, value: bytes, whose: Element, received_at_ms: int) -> _Refusal | None:
    """Return why the stream rejects a request's event, or None."""
    try:
        judge(services, value, vouched_by(grant, whose.event_id if whose.missing else None), received_at_ms)
    except Rejection as rejection:
        return _Refusal(rejection.error_class, rejection.message)
    return None


def _is_bounded(error_class: ErrorClass) -> bool:
    """Return whether refusals of this class are limited: permanent ones, and unknown versions from visitors.

    A visitor can make up a version, and its retries cost more than a drop. The limit allows for pages that are briefly
    ahead of the workers.
    """
    return ERRORS[error_class].action is Action.DROP or error_class is ErrorClass.UNSUPPORTED_SCHEMA_VERSION


class RefusedEvents:
    """The visitors' events of one request that the stream will certainly refuse.

    Some are sent to Kafka, so that operators see them and can replay them. The others are not.
    """

    def __init__(self, services: Services, grant: Grant, address: str) -> None:
        self._services = services
        self._grant = grant
        self._whose = (grant.script.script_id, address)

    async def beyond_bound(
        self, values: Sequence[bytes], whose: Sequence[Element], received_at_ms: int, work: Work
    ) -> dict[int, str]:
        """Return the refused events beyond the limit, with the reason, by index; raises Problem if it is all of them.

        A check costs more than any other step. So if none of a request's refused events is within the limit, a few of
        them are enough to refuse the whole request.
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
        # The other events were not checked yet, or are good: none of them is sent.
        self._count("with_request", count - len(beyond))
        allowances = self._services.allowances
        first = next(iter(beyond.values()))
        return Problem(
            Code.TOO_MANY_REFUSED,
            f"{allowances.refused_per_minute} refused events a minute from one address, {allowances.refused_of_an_address} for all"
            f" scripts; the first: {first}",
            retry_after=allowances.seconds_until_refused(*self._whose),
        )

    def _refusal(self, value: bytes, whose: Element, received_at_ms: int) -> str:
        """Return why the stream permanently refuses the event, or empty: a retry may succeed after other refusals."""
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
