"""The lane of the retry topics: the task that reads them and commits their batches.

The lane pauses each partition until the retry at its head is due, and until the event's row in the ledger exists. The
ledger is the table of events whose first attempt failed.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from schemas.kafka import headers as names
from schemas.kafka.headers import last_int
from schemas.pipeline.pause import PauseReason
from schemas.pipeline.record import Batch, Provenance, RawRecord, TopicPartition, topic_of
from streams.pipeline.processor import LedgerStates, retry_token
from streams.rules.retry_policy import due_at_ms
from streams.worker.lane import Lane
from streams.worker.lane_parts import LaneParts

# The delay until a partition is read again whose ledger row is missing, in seconds.
LEDGER_SECONDS = 0.25
# How long a copy waits for the ledger to await its attempt: the copy may be published before its batch is committed. If
# the lane gives up, the retry reaper publishes another copy.
EARLY_SECONDS = 300.0
_MOST_AWAITED = 10_000


class RetryLane(Lane):
    """The lane of the retry topics: the task that reads them and processes each retry when it is due.

    A retry is not processed before the time in its header, and not later than 1.1 times the topic's delay by the
    monotonic clock.
    """

    def __init__(self, name: str, sources: Sequence[TopicPartition], parts: LaneParts) -> None:
        super().__init__(name, sources, parts)
        self._delays_ms = parts.policy.delays_ms
        self._early: dict[TopicPartition, tuple[int, float]] = {}
        self._awaited: dict[Provenance, None] = {}
        self._due_heads: dict[TopicPartition, tuple[int, float]] = {}

    async def _look_behind(self) -> None:
        """Continue a probe of the circuit breaker with what has passed in any process.

        It can't use the records behind a paused one, because they are not due. Each site whose events pass counts as one
        event.
        """
        passing = await self._with_backoff(self._settler.passing)
        if passing is not None and passing.just_now:
            good = self._brake.sample.good
            good |= Counter(passing.in_window)
            await self._probe(())

    async def _prepare(self, batches: Sequence[Batch]) -> tuple[Sequence[Batch], LedgerStates] | None:
        due = [part for batch in batches if (part := self._due_part(batch)) is not None]
        if not due:
            return None
        found = await self._with_backoff(lambda: self._look_up(due))
        if found is None:
            self._rewind_to(due)
            return None
        ready = [part for batch in due if (part := self._known_part(batch, found)) is not None]
        return (ready, found.states) if ready else None

    def _due_part(self, batch: Batch) -> Batch | None:
        """Return the part of the batch before its first retry that is not due.

        The rest is read again when that retry is due.
        """
        now_ms = self._parts.now_ms()
        for record in batch.records:
            wait = self._wait_seconds(batch.source, record, now_ms)
            if wait > 0:
                self._hold(batch.source, record.offset, wait)
                return batch.before(record.offset)
        return batch

    def _wait_seconds(self, source: TopicPartition, record: RawRecord, now_ms: int) -> float:
        """Return the seconds until the retry is due.

        When this task has paused the partition once for the retry, only the monotonic clock decides.
        """
        head = self._due_heads.get(source)
        if head is not None and head[0] == record.offset:
            return head[1] - self._parts.monotonic()
        delay_ms = self._delays_ms[source.in_kafka.topic]
        due = due_at_ms(last_int(record.headers, names.DUE_AT), record.timestamp, delay_ms)
        wait = min(due - now_ms, round(1.1 * delay_ms)) / 1000
        if wait > 0:
            self._due_heads[source] = (record.offset, self._parts.monotonic() + wait)
        return wait

    def _hold(self, source: TopicPartition, offset: int, seconds: float) -> None:
        self._source.rewind(source, offset)
        self._pauses.pause(PauseReason.RETRY_DUE, source, self._parts.monotonic() + seconds)

    def _may_wait(self, batch: Batch, offset: int, origin: Provenance) -> bool:
        """Return whether a retry may keep its partition waiting, because its event's ledger row does not await it yet.

        The ledger is the table of failed events. Forged retries would otherwise block their partition forever. When one
        begins to wait, all retries in the batch then share one time limit. The limit begins only once for each raw
        event.
        """
        now = self._parts.monotonic()
        last, until = self._early.get(batch.source, (-1, now))
        if offset > last and origin not in self._awaited:
            last, until = self._early[batch.source] = (batch.records[-1].offset, now + EARLY_SECONDS)
        self._awaited[origin] = None
        if len(self._awaited) > _MOST_AWAITED:
            del self._awaited[next(iter(self._awaited))]
        return now < until

    async def _look_up(self, batches: Sequence[Batch]) -> "_Found":
        """Read the stored offsets of the raw topic, then the ledger rows (of failed events) that the retries name.

        If a row is missing although its event's offset is committed, the row will never be written. This is known only
        if the offsets are read first.
        """
        tokens = [token for batch in batches for record in batch.records if (token := retry_token(record)) is not None]
        named = {provenance for provenance, _ in tokens if topic_of(provenance.topic) == self._parts.raw_topic}
        provenances = sorted(named)
        raw = sorted({TopicPartition(provenance.topic, provenance.partition) for provenance in provenances})
        stored = await self._sink.stored(raw) if raw else {}
        states = await self._sink.ledger(provenances, bodies=True)
        missing = [provenance for provenance in provenances if provenance not in states]
        doubtful = {TopicPartition(one.topic, one.partition) for one in missing} & stored.keys()
        # A replaced log gets no more rows.
        present = await self._sink.logs(sorted({one.in_kafka for one in doubtful})) if doubtful else {}
        ends = await self._source.ends(sorted(doubtful & {known.log for known in present.values()}))
        return _Found(states, stored, ends)

    def _known_part(self, batch: Batch, found: "_Found") -> Batch | None:
        """Return the part of the batch before its first retry whose ledger row is still to be written.

        The ledger is the table of failed events. A retry record may be read before the transaction with its row ends.
        """
        for record in batch.records:
            token = retry_token(record)
            if token is None:
                continue
            if found.still_to_come(token[0]) or (
                found.early(*token) and self._may_wait(batch, record.offset, token[0])
            ):
                self._hold(batch.source, record.offset, LEDGER_SECONDS)
                return batch.before(record.offset)
        return batch


class _Found(NamedTuple):
    """What Postgres and Kafka know about the raw events that the retries of a batch name."""

    states: LedgerStates
    stored: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]

    def early(self, provenance: Provenance, attempt: int) -> bool:
        """Return whether the event's ledger row still awaits the attempt before this one."""
        state = self.states.get(provenance)
        return state is not None and state.awaits(attempt - 1)

    def still_to_come(self, provenance: Provenance) -> bool:
        """Return whether the event's ledger row may still be written.

        It may if the event's raw record exists and is not committed yet.
        """
        source = TopicPartition(provenance.topic, provenance.partition)
        if provenance in self.states or source not in self.stored:
            return False
        return self.stored[source] <= provenance.offset < self.ends.get(source, 0)
