"""The seam of settling: what any store of truth must do, in the words of the rules of settling."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from schemas.pipeline.breaker import BreakerCause, BreakerState
from schemas.pipeline.ledger import LedgerState, Scope, Waiting
from schemas.pipeline.log_identity import KnownLog
from schemas.pipeline.outcome import Candidate, Failure, Outcomes, Tally
from schemas.pipeline.record import Provenance, TopicPartition
from sinks.senders import Senders
from sinks.windows import Windows


class Committed(NamedTuple):
    """What one commit wrote: its counts, what failed, the keys that are now persisted for certain, its windows, and how many
    events of each class of sender became rows."""

    tally: Tally
    failures: list[Failure]
    keys: list[bytes]
    windows: Windows
    senders: Senders


class Rejected(NamedTuple):
    """A candidate that the store refuses because of what is in it, and why."""

    candidate: Candidate
    error: str


class Sink(Protocol):
    """The truth about offsets, ledger, keys, events and windows. One per lane; not shared between tasks.

    Every method raises SinkUnavailable when the store, not an event, is the trouble.
    """

    silent: bool
    """Whether a method waits for a store that answers nobody."""

    async def logs(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, KnownLog]:
        """The present log of each of Kafka's partitions, over all groups; one that nobody has read is missing."""
        ...

    async def claim(
        self, beginnings: Mapping[TopicPartition, int], cluster: str | None = None
    ) -> dict[TopicPartition, int]:
        """Makes missing offset rows at the log's beginning, notes the worker, and returns the stored offsets.

        A log whose cluster is not known yet is of this `cluster` from then on.
        """
        ...

    async def hold(self, source: TopicPartition, why: str) -> None:
        """Notes for operators that this worker does not read the partition, until it is claimed or settled again."""
        ...

    async def lose(self, source: TopicPartition, beginning: int) -> int:
        """Records as lost what lies between the stored offset and the log's beginning; returns how many."""
        ...

    async def stored(self, sources: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """The stored offsets, without a lock; a partition without a row is missing from the answer."""
        ...

    async def ledger(self, provenances: Sequence[Provenance], *, bodies: bool = False) -> dict[Provenance, LedgerState]:
        """The ledger's rows of these raw events, without a lock; with the `bodies` of those that wait, if they are needed.

        Few bytes of records may name very many rows: their bodies are read only for records that bear these bodies themselves.
        """
        ...

    async def due(self, now_ms: int, scope: Scope, limit: int) -> list[Waiting]:
        """At most `limit` waiting raw events whose next attempt is due, the longest due first, without a lock."""
        ...

    async def keep_claims(self) -> bool:
        """Lets nobody claim, release or discard dead letters until `release_claims`, or until the connection is lost."""
        ...

    async def release_claims(self) -> bool:
        """Ends what `keep_claims` began."""
        ...

    async def commit(self, outcomes: Sequence[Outcomes]) -> Committed:
        """Writes everything in one transaction.

        Raises BatchRefused when a stored offset or a ledger state is not what the outcomes were judged by, and
        RowRejected when a row is refused. In either case nothing is written.
        """
        ...

    async def rejected(self, outcomes: Sequence[Outcomes]) -> list[Rejected]:
        """Which candidates are refused, found by halving in a transaction that is always rolled back."""
        ...

    async def brake(self) -> BreakerState:
        """The brake on dead-lettering, without a lock."""
        ...

    async def engage(self, cause: BreakerCause) -> BreakerState:
        """Puts the brake on, unless it is on or an operator has released it; returns the state that now stands."""
        ...

    async def probed(self, *, passed: bool) -> bool:
        """Notes that a few events were judged again, and lets the brake go if they passed; whether it did.

        A brake that an operator put on stays.
        """
        ...

    async def close(self) -> None:
        """Lets go of the connection."""
        ...

    def abandon(self) -> None:
        """Cuts the connection without a word; whatever waits for it fails."""
        ...


class Publisher(Protocol):
    """The way retry records and dead letters take."""

    async def publish(self, failures: Sequence[Failure]) -> None:
        """Publishes the copy of each failure that has one and is not yet published, and marks it so.

        Where Kafka refuses a copy for what it is, ever more is left out; where it takes none at all, `refused` says why.
        Returns when every other copy is acknowledged; raises SinkUnavailable when one is not.
        """
        ...
