"""The authenticated identity of an event."""

from typing import NamedTuple

from schemas.pipeline.sender import Sender


class Vouched(NamedTuple):
    """Site, script and sender class, from the gateway's proven headers or from the ledger.

    `event_id` is the id that the gateway assigned; None if the event has its own.
    """

    site_id: int
    script_id: str
    sender: Sender
    event_id: str | None = None
