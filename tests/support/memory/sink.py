"""The sink in memory: a store and a sink that follow the rules of a commit."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import inf

from schemas.errors import InvariantViolation, RowRejected
from schemas.events.bridge_event import BridgeEvent
from schemas.instants import instant
from schemas.kafka.headers import bounded_text
from schemas.pipeline.breaker import BreakerCause, BreakerState, Passing
from schemas.pipeline.ledger import LedgerState, Scope, Waiting
from schemas.pipeline.log_identity import KnownLog, LogMark
from schemas.pipeline.outcome import Candidate, Failure, Outcomes, Tally, duplicate
from schemas.pipeline.record import LEDGER_TOPIC, Provenance, RawBody, TopicPartition, incarnation_of
from schemas.pipeline.sender import Sender
from schemas.reasons import DroppedReason, ErrorClass
from sinks.commit_rules import (
    Progress,
    check_offsets,
    check_tokens,
    first_of_each_key,
    ledger_touched,
    logged,
    progress,
    replays,
    tally,
)
from sinks.ports import CommitResult, Rejected
from sinks.postgres.dedup.key_claims import first_claims, second_claims
from sinks.senders import count_senders, only_sender, without_replays
from sinks.windows import Windows, count_windows
from support.events.encoded import event_of

CHECK_VIOLATION = "23514"


@dataclass(slots=True)
class MemoryOffset:
    """The next offset of one partition, and its running totals."""

    base_offset: int
    next_offset: int
    live: int = 0
    normalized: int = 0
    retried: int = 0
    dropped: int = 0
    stale: int = 0
    skipped: int = 0
    lost: int = 0
    epoch: int = 1
    cluster: str | None = None
    mark: LogMark | None = None
    held: str | None = None

    def add(self, row: Progress) -> None:
        """Advance to the end of a batch and add its counts."""
        self.next_offset, self.mark, self.held = row.next_offset, row.mark or self.mark, None
        for name, count in zip(("live", *Tally._fields[1:]), row.counts, strict=True):
            setattr(self, name, getattr(self, name) + count)


@dataclass(slots=True)
class MemoryLedgerRow:
    """One raw event that did not normalise at its first attempt; the columns of `bridge_event_raw`."""

    site_id: int | None
    script_id: str | None
    event_id: str | None
    record_key: bytes | None
    payload: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    received_at: datetime
    first_failed_at: datetime
    retry_count: int
    next_retry_at: datetime | None
    last_error: str
    error_class: ErrorClass
    normalized: bool
    dropped_reason: DroppedReason | None
    disposition: str | None
    replay_id: str | None = None
    replayed_as: str | None = None
    replay_of: str | None = None
    sender: Sender | None = None

    @property
    def state(self) -> LedgerState:
        """The state by which an attempt is judged."""
        return LedgerState(
            self.retry_count,
            self.normalized,
            self.received_at,
            self.first_failed_at,
            self.disposition,
            self.replay_id,
            self.replayed_as,
            self.replay_of,
            None if self.normalized else RawBody(self.record_key, self.payload, self.headers),
            self.sender,
            self.site_id,
            self.script_id,
        )


@dataclass(slots=True)
class MemoryStore:
    """The content of a database. Sinks that share a store are fenced against each other by its offsets.

    `refuse` imitates the constraints of a table: it returns the reason why an event's row is refused, or None.
    """

    refuse: Callable[[BridgeEvent], str | None] = lambda _event: None
    offsets: dict[TopicPartition, MemoryOffset] = field(default_factory=dict)
    keys: dict[bytes, Sender | None] = field(default_factory=dict)
    superseded: set[tuple[int, str]] = field(default_factory=set)
    events: list[BridgeEvent] = field(default_factory=list)
    ledger: dict[Provenance, MemoryLedgerRow] = field(default_factory=dict)
    windows: Windows = field(default_factory=dict)
    brake: BreakerState = field(default_factory=BreakerState)
    persisted_at: float = -inf
    """By the clock of the event loop."""
    answers_in_time: bool = True


class MemorySink:
    """A lane's sink on a store. Each method first calls `fail` with its name, which may raise SinkUnavailable."""

    def __init__(self, store: MemoryStore, *, fail: Callable[[str], None] | None = None) -> None:
        self._store = store
        self._fail = fail or (lambda _method: None)
        self.silent = False

    async def logs(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, KnownLog]:
        self._fail("logs")
        found: dict[TopicPartition, KnownLog] = {}
        for log, row in sorted(self._store.offsets.items(), key=lambda item: incarnation_of(item[0].topic)):
            if log.in_kafka in partitions:
                found[log.in_kafka] = KnownLog(log, row.next_offset, row.mark, row.cluster)
        return found

    async def claim(
        self, beginnings: Mapping[TopicPartition, int], cluster: str | None = None
    ) -> dict[TopicPartition, int]:
        self._fail("claim")
        rows = self._store.offsets
        for source, beginning in beginnings.items():
            if source in rows:
                rows[source].epoch += 1
            else:
                rows[source] = MemoryOffset(beginning, beginning)
            rows[source].cluster = rows[source].cluster or cluster
            rows[source].held = None
        return {source: rows[source].next_offset for source in beginnings}

    async def hold(self, source: TopicPartition, why: str) -> None:
        self._fail("hold")
        if source in self._store.offsets:
            self._store.offsets[source].held = why

    async def lose(self, source: TopicPartition, beginning: int) -> int:
        self._fail("lose")
        row = self._store.offsets.get(source)
        lost = max(0, beginning - row.next_offset) if row is not None else 0
        if row is not None and lost:
            row.lost += lost
            row.next_offset = beginning
        return lost

    async def stored(self, sources: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        self._fail("stored")
        return self._next_offsets(sources)

    async def ledger(self, provenances: Sequence[Provenance], *, bodies: bool = False) -> dict[Provenance, LedgerState]:
        self._fail("ledger")
        found = self._states(provenances)
        return found if bodies else {one: state._replace(body=None) for one, state in found.items()}

    async def keep_claims(self) -> bool:
        self._fail("keep_claims")
        return True

    async def release_claims(self) -> bool:
        self._fail("release_claims")
        return True

    async def due(self, now_ms: int, scope: Scope, limit: int) -> list[Waiting]:
        self._fail("due")
        moment = instant(now_ms)
        rows = (
            (row.next_retry_at, provenance, row)
            for provenance, row in self._store.ledger.items()
            if row.next_retry_at is not None and row.next_retry_at <= moment
            # The store has no organisations, so none in the scope has an event.
            if scope.org_ids is None
            and (scope.site_ids is None or row.site_id in scope.site_ids)
            and (scope.partitions is None or provenance.partition in scope.partitions)
        )
        return [
            Waiting(
                provenance,
                row.site_id,
                row.retry_count + 1,
                RawBody(row.record_key, row.payload, row.headers),
                row.received_at,
                row.first_failed_at,
                row.error_class.value,
                row.last_error,
            )
            for _, provenance, row in sorted(rows, key=lambda found: found[:2])[:limit]
        ]

    async def commit(self, outcomes: Sequence[Outcomes]) -> CommitResult:
        # All checks that can refuse come first, without an await in between: all is written, or nothing.
        self._fail("commit")
        store = self._store
        check_offsets(self._next_offsets([batch.source for batch in logged(outcomes)]), outcomes)
        touched, replayed = ledger_touched(outcomes), replays(outcomes)
        check_tokens(self._states([*touched, *replayed]), touched, replayed)
        winners, copies = first_of_each_key(outcomes)
        only = only_sender(winners.values())
        claims, slots, taken = self._claims(winners, only)
        late = [duplicate(winners.pop(one.key)) for one in taken] + [duplicate(copy) for copy in copies]
        normalized = list(winners.values())
        failures = [failure for one in outcomes for failure in one.failures] + late
        self._check_first_attempts(failures)
        self._check_rows(normalized)
        self._write_ledger(normalized, failures, replayed)
        store.keys |= {key: candidate.sender for key, candidate in (claims | slots).items()}
        store.superseded |= {(one.site_id, one.event_id) for one in slots.values() if one.shared}
        store.events.extend(map(event_of, normalized))
        windows = count_windows(normalized, failures)
        self._add_windows(windows)
        rows = progress(outcomes, late)
        for row in rows:
            if row.source.topic != LEDGER_TOPIC:
                store.offsets[row.source].add(row)
                if row.counts.normalized:
                    store.persisted_at = asyncio.get_running_loop().time()
        fresh = without_replays(normalized, outcomes)
        replayed = len(normalized) - len(fresh)
        return CommitResult(tally(rows), failures, list(winners), windows, count_senders(fresh, only), replayed)

    async def rejected(self, outcomes: Sequence[Outcomes]) -> list[Rejected]:
        self._fail("rejected")
        winners, _ = first_of_each_key(outcomes)
        refused = ((candidate, self._store.refuse(event_of(candidate))) for candidate in winners.values())
        return [Rejected(candidate, why) for candidate, why in refused if why is not None]

    async def brake(self) -> BreakerState:
        self._fail("brake")
        return self._store.brake

    async def passing(self, window_seconds: float, quiet_seconds: float) -> Passing | None:
        self._fail("passing")
        if not self._store.answers_in_time:
            return None
        newest = max((key.minute for key in self._store.windows), default=0)
        passed = [key for key, counts in self._store.windows.items() if counts[0] and not key.replay]
        return Passing(
            frozenset(key.site_id for key in passed if (newest - key.minute) * 60 < window_seconds + 60),
            frozenset(key.site_id for key in passed),
            asyncio.get_running_loop().time() - self._store.persisted_at < quiet_seconds,
        )

    async def engage(self, cause: BreakerCause) -> BreakerState:
        self._fail("engage")
        if not (self._store.brake.engaged or self._store.brake.released):
            self._store.brake = BreakerState(engaged=True, reason=cause.reason, details=cause.details)
        return self._store.brake

    async def probed(self, *, passed: bool) -> bool:
        self._fail("probed")
        lets_go = passed and self._store.brake.engaged and not self._store.brake.by_hand
        if lets_go:
            self._store.brake = self._store.brake._replace(engaged=False)
        return lets_go

    async def close(self) -> None:
        """Do nothing: there is nothing to release."""

    def abandon(self) -> None:
        """Do nothing: there is no connection to close."""

    def _claims(
        self, winners: Mapping[bytes, Candidate], only: Sender | None
    ) -> tuple[dict[bytes, Candidate], dict[bytes, Candidate], list[Candidate]]:
        """Return the claimed plain keys and slots by their candidates, and the duplicates."""
        held = self._store.keys
        plain, others = first_claims(winners, only)
        holders = {key: candidate.sender for key, candidate in plain.items()} | held
        contested = [candidate for key, candidate in plain.items() if key in held] + others
        slots, duplicates = second_claims(contested, holders)
        duplicates += [candidate for key, candidate in slots.items() if key in held]
        free = [{key: one for key, one in claims.items() if key not in held} for claims in (plain, slots)]
        return free[0], free[1], duplicates

    def _next_offsets(self, sources: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        rows = self._store.offsets
        return {source: rows[source].next_offset for source in sources if source in rows}

    def _states(self, provenances: Iterable[Provenance]) -> dict[Provenance, LedgerState]:
        rows = self._store.ledger
        return {provenance: rows[provenance].state for provenance in provenances if provenance in rows}

    def _check_first_attempts(self, failures: Iterable[Failure]) -> None:
        for failure in failures:
            if failure.attempt.number == 1 and failure.attempt.provenance in self._store.ledger:
                raise InvariantViolation(
                    f"a first attempt met a ledger row of its own provenance: {failure.attempt.provenance}"
                )

    def _check_rows(self, normalized: Iterable[Candidate]) -> None:
        for candidate in normalized:
            why = self._store.refuse(event_of(candidate))
            if why is not None:
                raise RowRejected(f"writing events: {why}", sqlstate=CHECK_VIOLATION)

    def _write_ledger(
        self,
        normalized: Iterable[Candidate],
        failures: Iterable[Failure],
        replayed: Mapping[Provenance, tuple[str, Provenance]],
    ) -> None:
        ledger = self._store.ledger
        for failure in failures:
            if failure.attempt.number == 1:
                ledger[failure.attempt.provenance] = _new_row(failure)
            else:
                _advance(ledger[failure.attempt.provenance], failure)
        for candidate in normalized:
            if candidate.number > 1:
                row = ledger[candidate.provenance]
                row.normalized, row.next_retry_at = True, None
        for provenance, (_, successor) in replayed.items():
            ledger[provenance].disposition, ledger[provenance].replayed_as = "replayed", str(successor)

    def _add_windows(self, windows: Windows) -> None:
        for key, counts in windows.items():
            present = self._store.windows.setdefault(key, [0] * len(counts))
            present[:] = [before + added for before, added in zip(present, counts, strict=True)]


def _due(failure: Failure) -> datetime | None:
    return None if failure.due_at_ms is None else instant(failure.due_at_ms)


def _new_row(failure: Failure) -> MemoryLedgerRow:
    attempt, record, reason = failure.attempt, failure.attempt.record, failure.dropped_reason
    # A duplicate's row has no payload: there is nothing to replay.
    whole = reason is not DroppedReason.DUPLICATE_EVENT_ID
    return MemoryLedgerRow(
        site_id=failure.site_id,
        script_id=failure.script_id,
        event_id=failure.event_id,
        record_key=record.key if whole else None,
        payload=record.value if whole else None,
        headers=tuple(record.headers) if whole else (),
        received_at=attempt.received_at,
        first_failed_at=instant(attempt.first_failed_at_ms),
        retry_count=0 if reason else 1,
        next_retry_at=_due(failure),
        last_error=bounded_text(failure.error),
        error_class=failure.error_class,
        normalized=reason is not None,
        dropped_reason=reason,
        disposition="open" if failure.has_dead_letter else None,
        replay_of=None if attempt.replay is None else str(attempt.replay.replay_of),
        sender=failure.sender,
    )


def _advance(row: MemoryLedgerRow, failure: Failure) -> None:
    reason = failure.dropped_reason
    row.retry_count = failure.attempt.number - (reason is not None)
    row.next_retry_at = _due(failure)
    row.last_error, row.error_class = bounded_text(failure.error), failure.error_class
    row.normalized, row.dropped_reason = reason is not None, reason
    if row.sender is None:
        row.sender, row.site_id, row.script_id = failure.sender, failure.site_id, failure.script_id
    row.disposition = "open" if failure.has_dead_letter else None
