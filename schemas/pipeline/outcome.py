"""The outcomes of the attempts at a batch's events: what the processing returns, and what a commit writes."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import ClassVar, NamedTuple, Protocol

import msgspec

from schemas.events.bridge_event import BridgeEvent
from schemas.pipeline.record import Batch, Provenance, RawRecord
from schemas.pipeline.sender import Sender
from schemas.reasons import DroppedReason, ErrorClass

UNCONFIRMED_SITE = 0
"""The site in gate windows for events whose site can't be read, or is not the site of their script."""


class ReplayClaim(NamedTuple):
    """What the headers of a raw record state: which dead letter it is a copy of, and the id of the replay that sent it.

    The statement is not verified.
    """

    replay_id: str
    replay_of: Provenance


class Claim(NamedTuple):
    """What identifies an event in the key table, which detects duplicates.

    `key` is the event's key with its sender class. `shared` is True if the script's event ids are one name space for
    all sender classes.
    """

    key: bytes
    site_id: int
    event_id: str
    sender: Sender
    shared: bool


class Attempt(msgspec.Struct, gc=False):
    """One attempt at one raw event. The first attempt at an event has the number 1.

    `first_failed_at_ms` is when the first attempt failed or, for a first attempt, when this one would, in milliseconds
    since the epoch. `minute` is the start of the gate window that counts the event, in minutes since the epoch.
    """

    record: RawRecord
    provenance: Provenance
    number: int
    received_at: datetime
    first_failed_at_ms: int
    minute: int
    replay: ReplayClaim | None = None


WindowOf = tuple[int, int, str, int, bool]
"""What selects the gate window that counts an event: its minute, site, topic and partition, and whether it is a replay."""


class Normalized(msgspec.Struct, gc=False):
    """A candidate (an event to become a row) that the Python path has normalised.

    `key` is the 16-byte key of site, event id and sender class. `shared` is True if its script's ids are one name space
    for all classes. `number` is that of the attempt, `offset` that of the record. `site_id` and `sender` are the event's. Reading them from here takes less time than from a property.
    """

    event: BridgeEvent
    key: bytes
    attempt: Attempt
    shared: bool
    site_id: int
    sender: Sender

    @property
    def script_id(self) -> str:
        return self.event.script_id

    @property
    def event_id(self) -> str:
        return self.event.event_id

    @property
    def received_at(self) -> datetime:
        return self.event.received_at

    @property
    def window(self) -> WindowOf:
        attempt = self.attempt
        record = attempt.record
        return attempt.minute, self.site_id, record.topic, record.partition, attempt.replay is not None

    @property
    def number(self) -> int:
        return self.attempt.number

    @property
    def offset(self) -> int:
        return self.attempt.record.offset

    @property
    def record(self) -> RawRecord:
        return self.attempt.record

    @property
    def provenance(self) -> Provenance:
        return self.event.provenance


class EncodedRows(Protocol):
    """The rows that were encoded natively from a part of a batch. A place is a position among them."""

    def encoded(self, start: int, end: int) -> bytes:
        """Return the rows of these places in the binary form of COPY."""

    def ids(self, place: int) -> tuple[str, str]:
        """Return script and event id of the row at this place."""

    def record(self, place: int) -> RawRecord:
        """Return the record from which the row at this place was encoded."""

    def attempt(self, event: "Encoded") -> Attempt:
        """Return the attempt at the event."""


class Encoded(msgspec.Struct, gc=False):
    """A candidate (an event to become a row) whose row was encoded natively, at a place of `rows`.

    It has what a commit needs of a `Normalized`, without its event.
    """

    key: bytes
    shared: bool
    site_id: int
    sender: Sender
    received_at: datetime
    window: WindowOf
    offset: int
    rows: EncodedRows
    place: int
    number: ClassVar[int] = 1

    @property
    def script_id(self) -> str:
        return self.rows.ids(self.place)[0]

    @property
    def event_id(self) -> str:
        return self.rows.ids(self.place)[1]

    @property
    def record(self) -> RawRecord:
        return self.rows.record(self.place)

    @property
    def provenance(self) -> Provenance:
        return self.attempt.provenance

    @property
    def attempt(self) -> Attempt:
        return self.rows.attempt(self)


Candidate = Normalized | Encoded
"""An event that becomes a row, unless the key table (of persisted events) shows that it is a duplicate."""


@dataclass(slots=True)
class Failure:
    """An attempt that has failed. With `dropped_reason` its event is dropped; without, it is retried at `due_at_ms`.

    A copy of the event is published on the retry topic or the DLQ. `left_out` names the parts that this copy lacks, and
    `refused` is the reason if Kafka accepts no copy. `sender` is None if the key to verify the sender's signature is
    not known.
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
        """Whether a copy of the event goes to the DLQ.

        A duplicate is only recorded in the ledger, the table of failed events.
        """
        return self.dropped_reason is not None and self.error_class is not ErrorClass.DUPLICATE_EVENT_ID

    @property
    def due_copy(self) -> bool:
        """Whether a copy of the event is still to be published, on the retry topic or the DLQ."""
        return not (self.published or self.refused) and (self.retry_topic is not None or self.has_dead_letter)

    def end_retries(self, why: str) -> None:
        """Turn a retry whose copy can't be published into a dead letter. The reason `why` is appended to its error."""
        self.error = f"{self.error}; not retried: {why}"
        self.dropped_reason = DroppedReason.RETRY_EXHAUSTED
        self.retry_topic = self.due_at_ms = None
        self.left_out, self.refused = (), ""


@dataclass(slots=True)
class Outcomes:
    """All outcomes of one batch. Each record is a candidate (an event to become a row), a failure, or stale.

    `of_ledger` are the attempts at events that have a row in the ledger, the table of failed events: later attempts and
    replays. `clamped` is the number of records whose producer's time was out of bounds. `unproven` counts the records
    whose gateway headers have no valid signature, by kind. `read` counts first attempts by the reason for which Python
    has read them, or as `ordinary` if the native module has.
    """

    batch: Batch
    candidates: list[Candidate] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    of_ledger: list[Attempt] = field(default_factory=list)
    stale: int = 0
    clamped: int = 0
    unproven: Counter[str] = field(default_factory=Counter)
    read: Counter[str] = field(default_factory=Counter)

    def results(self) -> Iterator[Candidate | Failure]:
        """Return the candidates, then the failures, without a copy."""
        return chain(self.candidates, self.failures)

    def dead_letters(self) -> list[Failure]:
        """Return the failures whose events go to the DLQ. Duplicates are not among them."""
        return [failure for failure in self.failures if failure.has_dead_letter]


class Tally(NamedTuple):
    """The numbers of events by outcome in one commit, for metrics, progress and a run's summary."""

    processed: int = 0
    normalized: int = 0
    retried: int = 0
    dropped: int = 0
    stale: int = 0
    skipped: int = 0


def dropped(candidate: Candidate, error_class: ErrorClass, reason: DroppedReason, error: str) -> Failure:
    """Return a failure in place of the candidate (an event to become a row). Its event is dropped for the reason."""
    return Failure(
        candidate.attempt,
        error_class,
        error,
        site_id=candidate.site_id,
        script_id=candidate.script_id,
        event_id=candidate.event_id,
        dropped_reason=reason,
        window_site_id=candidate.site_id,
        sender=candidate.sender,
    )


def duplicate(candidate: Candidate) -> Failure:
    """Return a failure in place of an event that is persisted already, or occurs earlier in the same commit."""
    message = f"site {candidate.site_id} has an event {candidate.event_id!r} already"
    return dropped(candidate, ErrorClass.DUPLICATE_EVENT_ID, DroppedReason.DUPLICATE_EVENT_ID, message)
