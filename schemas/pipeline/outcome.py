"""The outcomes of the attempts in a batch: what the pure processor returns, and what a commit writes."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import msgspec

from schemas.events.bridge_event import BridgeEvent
from schemas.pipeline.record import Batch, Provenance, RawRecord
from schemas.pipeline.sender import Sender
from schemas.reasons import DroppedReason, ErrorClass

UNCONFIRMED_SITE = 0
"""The site in gate windows for events whose site can't be read, or is not the site of their script."""


class ReplayClaim(NamedTuple):
    """What a raw record claims to be: the replay of this dead letter, sent by the replay with this id."""

    replay_id: str
    replay_of: Provenance


class Claim(NamedTuple):
    """What identifies an event in the key table.

    `key` is the key of its sender class; `shared` is its script's rule for ids.
    """

    key: bytes
    site_id: int
    event_id: str
    sender: Sender
    shared: bool


class Attempt(msgspec.Struct, gc=False):
    """One attempt at one raw event, of which the first one has the number 1.

    `first_failed_at_ms` is when the first attempt failed or, for a first attempt, when this one would, in milliseconds
    since the epoch. `minute` is the window's start in minutes since the epoch.
    """

    record: RawRecord
    provenance: Provenance
    number: int
    received_at: datetime
    first_failed_at_ms: int
    minute: int
    replay: ReplayClaim | None = None


class Candidate(msgspec.Struct, gc=False):
    """A normalised event; the key table decides whether it is a duplicate.

    `key` is the 16-byte key of site, event id and sender class. `shared` is True if its script's ids are one name space
    for all classes.
    """

    event: BridgeEvent
    key: bytes
    attempt: Attempt
    shared: bool = False


@dataclass(slots=True)
class Failure:
    """An attempt that did not normalise. With `dropped_reason` the event is dropped, without it retried at `due_at_ms`.

    `sender` is None if the proof's key is not known. `left_out` names the parts missing in its copy, and `refused` is the
    reason if Kafka accepts no copy of it.
    """

    attempt: Attempt
    error_class: ErrorClass
    error: str
    site_id: int | None = None
    script_id: str | None = None
    event_id: str | None = None
    dropped_reason: DroppedReason | None = None
    retry_topic: str | None = None
    due_at_ms: int | None = None
    window_site_id: int = UNCONFIRMED_SITE
    published: bool = False
    left_out: tuple[str, ...] = ()
    refused: str = ""
    sender: Sender | None = Sender.DIRECT

    @property
    def has_dead_letter(self) -> bool:
        """Whether a copy goes to the DLQ. A duplicate is only recorded in the ledger."""
        return self.dropped_reason is not None and self.error_class is not ErrorClass.DUPLICATE_EVENT_ID

    @property
    def due_copy(self) -> bool:
        """Whether a copy is still to be published."""
        return not (self.published or self.refused) and (self.retry_topic is not None or self.has_dead_letter)

    def end_retries(self, why: str) -> None:
        """Turn a retry that can't be published into a dead letter, with the reason appended to its error."""
        self.error = f"{self.error}; not retried: {why}"
        self.dropped_reason = DroppedReason.RETRY_EXHAUSTED
        self.retry_topic = self.due_at_ms = None
        self.left_out, self.refused = (), ""


@dataclass(slots=True)
class Outcomes:
    """All outcomes of one batch: each record is a candidate, a failure, or stale.

    `clamped` counts producers' record times out of bounds, `unproven` records whose gateway headers are not proven, by
    finding.
    """

    batch: Batch
    candidates: list[Candidate] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    stale: int = 0
    clamped: int = 0
    unproven: Counter[str] = field(default_factory=Counter)

    def results(self) -> list[Candidate | Failure]:
        """Return the candidates, then the failures."""
        return [*self.candidates, *self.failures]

    def dead_letters(self) -> list[Failure]:
        """Return the failures that go to the DLQ."""
        return [failure for failure in self.failures if failure.has_dead_letter]


class Tally(NamedTuple):
    """The counts of one commit, for metrics, progress and a run's summary."""

    processed: int = 0
    normalized: int = 0
    retried: int = 0
    dropped: int = 0
    stale: int = 0
    skipped: int = 0


def dropped(candidate: Candidate, error_class: ErrorClass, reason: DroppedReason, error: str) -> Failure:
    """Return a failure for the candidate, whose event is dropped for the reason."""
    event = candidate.event
    return Failure(
        candidate.attempt,
        error_class,
        error,
        site_id=event.site_id,
        script_id=event.script_id,
        event_id=event.event_id,
        dropped_reason=reason,
        window_site_id=event.site_id,
        sender=event.sender,
    )


def duplicate(candidate: Candidate) -> Failure:
    """Return the failure of a candidate whose key is persisted already, or was claimed earlier in the same commit."""
    event = candidate.event
    message = f"site {event.site_id} has an event {event.event_id!r} already"
    return dropped(candidate, ErrorClass.DUPLICATE_EVENT_ID, DroppedReason.DUPLICATE_EVENT_ID, message)
