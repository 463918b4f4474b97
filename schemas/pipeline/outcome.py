"""What became of each attempt in a batch: the pure processor's answer, and what settling writes."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec

from schemas.events.bridge_event import BridgeEvent
from schemas.instants import to_epoch_ms
from schemas.pipeline.record import Batch, Provenance, RawRecord
from schemas.pipeline.sender import Sender
from schemas.reasons import DroppedReason, ErrorClass

UNCONFIRMED_SITE = 0
"""The site of windows of events whose site can't be read, or is not their script's."""


class ReplayClaim(NamedTuple):
    """What a raw record says of itself: it replays that dead letter, under that replay's id."""

    replay_id: str
    replay_of: Provenance


class Claim(NamedTuple):
    """The identity of an event, by which it would claim `key`, its class's key; `shared` is its script's rule."""

    key: bytes
    site_id: int
    event_id: str
    sender: Sender
    shared: bool


class Candidate(msgspec.Struct, gc=False):
    """A normalised event that awaits the key table's word on whether it is a duplicate.

    `key` is the 16-byte key of site, event id and class of sender; `shared` says that its script's ids are one name space
    for all classes; `minute` the window's start in minutes since the epoch;
    `first_failed_at_ms` is when the first attempt failed or, for a first attempt, when this one would.
    """

    event: BridgeEvent
    key: bytes
    minute: int
    record: RawRecord
    first_failed_at_ms: int
    replay: ReplayClaim | None = None
    shared: bool = False


@dataclass(slots=True)
class Failure:
    """An attempt that did not normalise. With `dropped_reason` it ends here, without it retries at `due_at_ms`.

    `attempt` is the number of the attempt that failed, from 1. `received_at_ms` and `first_failed_at_ms` are in
    milliseconds since the epoch. `sender` is None where the proof's key is not known. `left_out` names what its copy goes
    without, and `refused` says why Kafka takes no copy of it in any form.
    """

    record: RawRecord
    provenance: Provenance
    attempt: int
    error_class: ErrorClass
    error: str
    minute: int
    received_at_ms: int
    first_failed_at_ms: int
    site_id: int | None = None
    script_id: str | None = None
    event_id: str | None = None
    dropped_reason: DroppedReason | None = None
    retry_topic: str | None = None
    due_at_ms: int | None = None
    replay: ReplayClaim | None = None
    window_site_id: int = UNCONFIRMED_SITE
    published: bool = False
    left_out: tuple[str, ...] = ()
    refused: str = ""
    sender: Sender | None = Sender.DIRECT

    @property
    def has_dead_letter(self) -> bool:
        """Whether a copy goes to the DLQ: duplicates are noted in the ledger only."""
        return self.dropped_reason is not None and self.error_class is not ErrorClass.DUPLICATE_EVENT_ID

    @property
    def due_copy(self) -> bool:
        """Whether a copy is still to be published."""
        return not (self.published or self.refused) and (self.retry_topic is not None or self.has_dead_letter)

    def end_retries(self, why: str) -> None:
        """Makes the retry that can't take place a dead letter, whose error says why."""
        self.error = f"{self.error}; not retried: {why}"
        self.dropped_reason = DroppedReason.RETRY_EXHAUSTED
        self.retry_topic = self.due_at_ms = None
        self.left_out, self.refused = (), ""


@dataclass(slots=True)
class Outcomes:
    """All outcomes of one batch: each record is a candidate, a failure, or stale.

    `clamped` counts producers' record times that lay out of bounds, `unproven` records whose gateway headers are not
    proven, by what they are worth.
    """

    batch: Batch
    candidates: list[Candidate] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    stale: int = 0
    clamped: int = 0
    unproven: Counter[str] = field(default_factory=Counter)

    def dead_letters(self) -> list[Failure]:
        """The failures that go to the DLQ."""
        return [failure for failure in self.failures if failure.has_dead_letter]


class Tally(NamedTuple):
    """What one settlement added, for metrics, progress and the run summary."""

    processed: int = 0
    normalized: int = 0
    retried: int = 0
    dropped: int = 0
    stale: int = 0
    skipped: int = 0


def dropped(candidate: Candidate, error_class: ErrorClass, reason: DroppedReason, error: str) -> Failure:
    """The candidate as an attempt that is dropped after all."""
    event = candidate.event
    return Failure(
        record=candidate.record,
        provenance=event.provenance,
        attempt=event.attempt,
        error_class=error_class,
        error=error,
        minute=candidate.minute,
        received_at_ms=to_epoch_ms(event.received_at),
        first_failed_at_ms=candidate.first_failed_at_ms,
        site_id=event.site_id,
        script_id=event.script_id,
        event_id=event.event_id,
        dropped_reason=reason,
        window_site_id=event.site_id,
        replay=candidate.replay,
        sender=event.sender,
    )


def duplicate(candidate: Candidate) -> Failure:
    """A candidate whose key is persisted already, or came earlier in the same settlement."""
    event = candidate.event
    message = f"site {event.site_id} has an event {event.event_id!r} already"
    return dropped(candidate, ErrorClass.DUPLICATE_EVENT_ID, DroppedReason.DUPLICATE_EVENT_ID, message)
