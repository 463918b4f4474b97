"""The ports of a commit: the interfaces that every sink and publisher implements.

Terms: a lane is a worker's task that processes one partition's batches in order. The ledger has a row for each event
whose first attempt failed. A claim reserves a dead letter for one replay.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from schemas.pipeline.breaker import BreakerCause, BreakerState, Passing
from schemas.pipeline.ledger import LedgerState, Scope, Waiting
from schemas.pipeline.log_identity import KnownLog
from schemas.pipeline.outcome import Candidate, Failure, Outcomes, Tally
from schemas.pipeline.record import Provenance, TopicPartition
from sinks.senders import Senders
from sinks.windows import Windows


class CommitResult(NamedTuple):
    """The result of one commit.

    It has the counts, the failures, the keys that are now certainly persisted, the gate windows (counts by minute), and
    the number of events of each sender class that became rows, without replays. `replayed` is the number of replays that
    became rows.
    """

    tally: Tally
    failures: list[Failure]
    keys: list[bytes]
    windows: Windows
    senders: Senders
    replayed: int = 0


class Rejected(NamedTuple):
    """A candidate (an event to be persisted) that the store refuses because of the event's content, and the reason."""

    candidate: Candidate
    error: str


class Sink(Protocol):
    """The store of offsets, ledger (rows of failed events), dedup keys, events, and gate windows (counts by minute).

    Each lane (a worker's task that commits batches) has its own sink; tasks do not share one.

    Every method raises SinkUnavailable when the store fails for reasons that do not lie in an event.
    """

    silent: bool
    """Whether a method is waiting for a store that does not answer."""

    async def logs(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, KnownLog]:
        """Return what the store knows of each partition's current log, recorded by any consumer group.

        A partition that no group has read is missing from the answer.
        """

    async def claim(
        self, beginnings: Mapping[TopicPartition, int], cluster: str | None = None
    ) -> dict[TopicPartition, int]:
        """Record this worker as the owner of the partitions, and return their stored offsets.

        `beginnings` has the first offset of each partition's log. A partition without a stored offset gets this one. If
        the store does not know which Kafka cluster a log is in, it records `cluster`.
        """

    async def hold(self, source: TopicPartition, why: str) -> None:
        """Record, for operators, why this worker does not read the partition.

        The next call of `claim` or `commit` for the partition removes the reason.
        """

    async def lose(self, source: TopicPartition, beginning: int) -> int:
        """Count as lost the records between the stored offset and the log's later beginning; return their number."""

    async def stored(self, sources: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the stored offsets, without a lock; a partition without a row is missing from the answer."""

    async def ledger(self, provenances: Sequence[Provenance], *, bodies: bool = False) -> dict[Provenance, LedgerState]:
        """Return the rows of these raw events in the ledger (the table of failed events), without a lock.

        `bodies` adds the bodies of events that wait for a retry. One small Kafka record can name many raw events. The
        caller therefore asks for bodies only for records that have a body of their own.
        """

    async def due(self, now_ms: int, scope: Scope, limit: int) -> list[Waiting]:
        """Return raw events whose next attempt is due, those due for longest first, without a lock.

        They are at most `limit`, and only as many as fit into memory together, but at least one if one is due.
        """

    async def keep_claims(self) -> bool:
        """Keep other sessions from claiming (reserving for a replay), releasing and discarding dead letters.

        This ends with `release_claims`, or when the connection is closed.
        """

    async def release_claims(self) -> bool:
        """Release the lock of `keep_claims`, so that other sessions may claim dead letters again."""

    async def commit(self, outcomes: Sequence[Outcomes]) -> CommitResult:
        """Write offsets, rows of failed events, dedup keys, events and counts for these outcomes in one transaction.

        Raises BatchRefused when a stored offset, or the ledger row of a failed event, has changed since the outcomes
        were computed. Raises RowRejected when the store refuses a row because of its content. In both cases nothing is
        written.
        """

    async def rejected(self, outcomes: Sequence[Outcomes]) -> list[Rejected]:
        """Return the candidates (events to be persisted) that the store refuses because of their content.

        The sink finds them by bisection, in a transaction that it rolls back.
        """

    async def brake(self) -> BreakerState:
        """Return the circuit breaker's state, without a lock."""

    async def passing(self, window_seconds: float, quiet_seconds: float) -> Passing | None:
        """Return whose events became rows within `window_seconds` and within a day, in any process.

        `just_now` is about the consumer group and `quiet_seconds`. Return None if the answer takes too long.
        """

    async def engage(self, cause: BreakerCause) -> BreakerState:
        """Trip the circuit breaker, unless it is open or an operator has bypassed it; return the resulting state."""

    async def probed(self, *, passed: bool) -> bool:
        """Record a probe (a trial commit while the circuit breaker is open); reset the breaker if the probe passed.

        Return whether the breaker was reset. A breaker that an operator tripped stays open.
        """

    async def close(self) -> None:
        """Close the connection."""

    def abandon(self) -> None:
        """Close the connection without waiting for the server; every call that waits for an answer fails."""


class Publisher(Protocol):
    """Publishes copies of failed events to the retry topics and the dead-letter topic."""

    async def publish(self, failures: Sequence[Failure]) -> None:
        """Publish a copy of each failed event to a retry topic or the DLQ, unless it was published, and mark it so.

        If Kafka refuses a copy because of its content, the publisher sends copies that omit more and more parts. If
        Kafka refuses all of them, the failure's `refused` has the reason. Returns when Kafka has acknowledged every
        copy that it did not refuse; raises SinkUnavailable if one of these is not acknowledged.
        """
