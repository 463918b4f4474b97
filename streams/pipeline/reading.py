"""Reading of a raw event's value; pure. The result is a bridge event (a row's content), or all violations."""

from datetime import datetime

from schemas.events.bridge_event import BridgeEvent
from schemas.kafka.vouched import Vouched
from schemas.pipeline.record import Provenance
from schemas.pipeline.registry import Registry
from schemas.pipeline.sender import Sender
from schemas.reasons import ErrorClass
from streams.pipeline.decode import decode
from streams.pipeline.normalize import Bounds, normalize, violations
from streams.pipeline.rejection import Rejection, violated


def read_event(
    value: bytes | None,
    vouched: Vouched | None,
    received_at: datetime,
    provenance: Provenance,
    registry: Registry,
    bounds: Bounds,
) -> BridgeEvent:
    """Return the bridge event (a row's content) for the first attempt at a raw event's value; raises Rejection.

    The Rejection of a value that breaks the contract has the violations that both the decoder and the normaliser find.
    """
    try:
        fields = decode(value, vouched)
        sender = Sender.DIRECT if vouched is None else vouched.sender
        return normalize(fields, received_at, provenance, 1, registry, bounds, sender)
    except Rejection as rejection:
        raise in_full(rejection, received_at, registry, bounds) from None


def in_full(rejection: Rejection, received_at: datetime, registry: Registry, bounds: Bounds) -> Rejection:
    """Return the rejection of a raw event's value with all violations that the decoder and the normaliser find."""
    whose = rejection.identity
    if rejection.error_class is not ErrorClass.SCHEMA_VIOLATION or whose is None:
        return rejection
    return violated([*rejection.violations, *violations(whose, received_at, registry, bounds)], whose)
