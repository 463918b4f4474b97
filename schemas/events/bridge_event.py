"""The normalised event: one row of `bridge_event`, with its fields in the order of the columns."""

from datetime import datetime
from decimal import Decimal

import msgspec

from schemas.pipeline.record import Provenance
from schemas.pipeline.sender import Sender


class BridgeEvent(msgspec.Struct, gc=False, frozen=True):
    """A normalised event. Times are aware and in UTC. Texts have no NUL and no lone surrogate. An absent value is None.

    - `properties` is the JSON text of an object.
    - `attempt` is the number of the attempt that succeeded, from 1.
    - `sender` is the sender class.
    - `original` is the JSON text of an object. It has the values of `event_type`, `occurred_at` and `value` that were
      sent, of those that normalising has changed.
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
        """The provenance (topic, partition, offset) of the raw event."""
        return Provenance(self.raw_topic, self.raw_partition, self.raw_offset)
