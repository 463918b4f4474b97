"""Whose an event is, by a word that was authenticated."""

from typing import NamedTuple

from schemas.pipeline.sender import Sender


class Vouched(NamedTuple):
    """Site, script and class of sender that the gateway's proven headers state, or the ledger keeps of them.

    `event_id` is the id that the gateway assigned; None where the event has its own.
    """

    site_id: int
    script_id: str
    sender: Sender
    event_id: str | None = None
