"""The normalised event: one row of `bridge_event`, in the order of its columns."""

from datetime import datetime
from decimal import Decimal

import msgspec

from schemas.pipeline.record import Provenance
from schemas.pipeline.sender import Sender


class BridgeEvent(msgspec.Struct, gc=False, frozen=True):
    """A clean event. Times are aware and in UTC; texts hold no NUL and no lone surrogate; absent is None.

    `properties` is JSON text of an object. `attempt` counts from 1. `sender` is the class of its sender. `original`
    is JSON text of an object: what was sent in `event_type`, `occurred_at` and `value`, of those that normalising changed.
    """

    received_at: datetime
    occurred_at: datetime
    sent_at: datetime | None
    site_id: int
    org_id: int | None
    script_id: str
    event_id: str
    event_type: str
    session_id: str | None
    visitor_id: str | None
    url: str | None
    url_host: str | None
    url_path: str | None
    utm_source: str | None
    utm_medium: str | None
    utm_campaign: str | None
    utm_term: str | None
    utm_content: str | None
    referrer: str | None
    referrer_host: str | None
    user_agent: str | None
    value: Decimal | None
    currency: str | None
    properties: str
    schema_version: int
    raw_topic: str
    raw_partition: int
    raw_offset: int
    attempt: int
    sender: Sender
    original: str | None = None

    @property
    def provenance(self) -> Provenance:
        """The provenance of its raw event."""
        return Provenance(self.raw_topic, self.raw_partition, self.raw_offset)
