"""A lane: an asyncio task of the worker that reads some partitions and commits their batches, one after another."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import structlog

from schemas.errors import BatchRefused, BreakerOpen, CommitTimedOut, SinkUnavailable
from schemas.pipeline.outcome import Outcomes
from schemas.pipeline.pause import PauseReason
from schemas.pipeline.record import Batch, TopicPartition
from sinks.ports import CommitResult
from streams.pipeline.dedup_key import DedupHints
from streams.pipeline.processor import LedgerStates, replays_claimed
from streams.source.kafka import IDLE_SECONDS, OffsetsGone, SourceStopped, SourceUnavailable
from streams.source.log_identity import Examination, examine
from streams.worker import commit_metrics, tracing
from streams.worker.backoff import Backoff
from streams.worker.batch_size import BatchSize
from streams.worker.claims_kept import ClaimsKept
from streams.worker.committer import BatchCommitter
from streams.worker.kafka_hints import KafkaHints
from streams.worker.lane_parts import LaneParts
from streams.worker.paused.breaker import BreakerPause, first_dead_letters, parts_before, peek
from streams.worker.paused.pauses import NOT_POLLED, Pauses
from streams.worker.paused.replaced_logs import ReplacedLogs
from streams.worker.wait_note import note_wait
from telemetry import metrics

POLL_MS = 200
# Each poll takes time, of which a worker without events should take little.
IDLE_POLL_MS = 1500
# How often an idle lane compares its positions with Kafka's end offsets, to show that it is idle and not stuck.
PROOF_SECONDS = 10.0
# Longer than any single call of Postgres or Kafka may take.
TRY_SECONDS = 90.0

T = TypeVar("T")
log = structlog.get_logger(__name__)


class Lane:
    """The task that processes and commits the batches of its partitions, with a database connection of its own."""

    def __init__(self, name: str, sources: Sequence[TopicPartition], parts: LaneParts) -> None:
        self.name = name
        self.sources = sorted(sources)
        self._parts = parts
        self._source = parts.source
        self._sink = parts.make_sink()
        self._settler = BatchCommitter(
            self._sink, parts.publisher, parts.brake, parts.elsewhere, monotonic=parts.monotonic
        )
        self._pauses = Pauses(name, parts.source)
        self._brake = BreakerPause(name, self._pauses, parts.brake_probe_seconds)
        self._known = DedupHints(parts.dedup_hints)
        self._backoff = Backoff(parts.random)
        self._hints = KafkaHints(parts.source, name)
        self.positions: dict[TopicPartition, int] = {}
        """The stored offset of each partition that this task reads, as of its last start or commit."""
        self._foreign = ReplacedLogs(self._pauses)
        self._stopping = asyncio.Event()
        self._size = BatchSize(parts.max_records)
        self._claims = ClaimsKept(self._sink)
        self._held_until = 0.0
        self._records_at = 0.0
        self.progressed_at = parts.monotonic()

    @property
    def waiting(self) -> bool:
        """Whether this task waits for Kafka or Postgres: between tries, up to TRY_SECONDS in a try, or for a reply."""
        tries = self._backoff.waiting and self._parts.monotonic() < self._held_until + TRY_SECONDS
        return tries or self._sink.silent

    def paused(self, reason: PauseReason) -> int:
        """Return how many of this task's partitions are paused for the reason. During an outage, all of them are."""
        silent = reason is PauseReason.OUTAGE and self._sink.silent
        return len(self.sources if silent else self._pauses[reason])

    def stop(self) -> None:
        """Ask this task to end after its batch in flight. If it waits for a service, it ends immediately."""
        self._stopping.set()

    def abandon(self) -> None:
        """Close the database connection before the task is cancelled, because a rollback could wait without limit."""
        self._sink.abandon()

    async def run(self) -> None:
        """Read and commit batches until stopped. Waits while Kafka or Postgres is away, and raises other errors."""
        try:
            if await self._begin():
                while not self._stopping.is_set():
                    await self._once()
        finally:
            await self._hints.close()
            metrics.forget_lane(self.name, self.sources)
            await self._sink.close()

    async def _once(self) -> None:
        self._pauses.wake(self._parts.monotonic())
        if begun := self._pauses.by_operator(self.sources, self._parts.paused()):
            # When the operator's pause has ended, the breaker decides about the partition again.
            self._brake.forget(source for source in self.sources if source.in_kafka in begun)
        await self._mind_foreign_logs()
        await self._mind_the_brake()
        try:
            batches = await self._source.poll(
                self._polled(), timeout_ms=self._poll_ms(), max_records=self._size.records
            )
        except OffsetsGone as error:
            log.warning("offsets_gone", lane=self.name, error=str(error))
            await self._begin()
            return
        except SourceStopped:
            self.stop()
            return
        except SourceUnavailable as error:
            await self._wait_in_place(error)
            return
        self._recovered()
        await self._note_unreadable()
        if batches:
            self._records_at = self._parts.monotonic()
        else:
            await self._prove_idle()
            return
        async with self._claims.around(batches, self._with_backoff):
            if ready := await self._prepare(batches):
                await self.settle(*ready)

    async def _note_unreadable(self) -> None:
        """Record in Postgres, for operators, the unreadable record that blocks a partition."""
        held = {source: why for source, why in self._source.unreadable().items() if source in self.positions}
        begun = self._pauses.replace(PauseReason.UNREADABLE, held)
        for source in [one for one in held if one.in_kafka in begun]:
            await self._with_backoff(partial(self._sink.hold, source, held[source]))

    async def _prepare(self, batches: Sequence[Batch]) -> tuple[Sequence[Batch], LedgerStates] | None:
        """Return the batches with the ledger states of the dead letters that they replay; None to read them again."""
        claims = replays_claimed(batches)
        if not claims:
            return batches, {}
        states = await self._with_backoff(lambda: self._sink.ledger(claims))
        if states is None:
            self._rewind_to(batches)
            return None
        return batches, states

    async def settle(self, batches: Sequence[Batch], ledger: LedgerStates) -> None:
        """Process the batches once and commit them, repeating the commit while services are away.

        If the circuit breaker is open, records from a partition's first dead letter on stay unread.
        """
        await self._settle_judged(await self._judge(batches, ledger), ledger)

    async def _judge(self, batches: Sequence[Batch], ledger: LedgerStates) -> list[Outcomes]:
        with metrics.phase("judge"):
            return await self._parts.judge(batches, self._known, ledger)

    async def _settle_judged(self, outcomes: Sequence[Outcomes], ledger: LedgerStates) -> None:
        batches = [one.batch for one in outcomes]
        began_ms = self._parts.now_ms()
        try:
            committed = await self._with_backoff(lambda: self._settle_once(outcomes))
        except BatchRefused as error:
            metrics.BATCHES_REFUSED.inc()
            log.warning("batch_refused", lane=self.name, error=str(error))
            self._claims.refused = True
            await self._begin()
            return
        except BreakerOpen as error:
            await self._held_by_brake(outcomes, ledger, error)
            return
        if committed is None:
            self._rewind_to(batches)
            return
        commit_metrics.settled(committed, outcomes, self._parts.now_ms(), self._parts.raw_topic)
        tracing.settled(committed, outcomes, began_ms, self._parts.now_ms())
        log.debug("batch_committed", lane=self.name, **committed.tally._asdict())
        self._claims.refused = False
        self._size.committed()
        self._known.add(committed.keys)
        metrics.DEDUP_HINTS.labels(self.name).set(len(self._known))
        self.progressed_at = self._parts.monotonic()
        moved = {batch.source: batch.next for batch in batches}
        self.positions |= moved
        self._hints.follow(moved)
        if sample := [one for one in outcomes if self._brake.probes(one.batch)]:
            await self._probe(sample)

    async def _held_by_brake(self, outcomes: Sequence[Outcomes], ledger: LedgerStates, error: BreakerOpen) -> None:
        """Reset the breaker and commit all if this probe passes; else commit what precedes the first dead letters."""
        batches = [one.batch for one in outcomes]
        if sample := [one for one in outcomes if self._brake.probes(one.batch)]:
            passed = await self._probe(sample)
            if passed is None:
                self._rewind_to(batches)
                return
            if passed:
                await self._settle_judged(outcomes, ledger)
                return
        first = first_dead_letters(outcomes)
        for source, offset in first.items():
            self._source.rewind(source, offset)
        self._brake.keep(first, self._parts.monotonic(), error)
        if ready := parts_before(batches, first):
            await self.settle(ready, ledger)
        # The reason is recorded last, because a commit removes it.
        for source in [one for one in first if one in self._brake.positions]:
            await self._with_backoff(partial(self._sink.hold, source, str(error)))

    async def _mind_the_brake(self) -> None:
        """Continue a probe (a test whether events pass again while the circuit breaker is open).

        Resume the partitions that the breaker has paused when it is closed, or when the next probe is due.
        """
        if not self._brake.to_look(self._parts.monotonic()):
            return
        if (state := await self._with_backoff(self._sink.brake)) is None:
            return
        if state.engaged and self._brake.to_look_behind(state):
            await self._look_behind()
        self._brake.looked(state, self._parts.monotonic())

    async def _look_behind(self) -> None:
        """Process, but do not commit, some records behind those at which the circuit breaker has paused partitions."""
        if self._parts.brake.is_enough(self._brake.sample):
            return
        try:
            batches, ended = await peek(self._source, self._brake.unseen(), self._brake.positions)
        except (SourceUnavailable, SourceStopped, OffsetsGone):
            # The next poll raises the same error, and `_once` handles it.
            return
        self._brake.saw_the_end(ended)
        ready = await self._prepare(batches) if batches else None
        if ready is not None:
            outcomes = await self._judge(*ready)
            if await self._with_backoff(lambda: self._settler.rehearse(outcomes)) is not None:
                await self._probe(outcomes)

    async def _probe(self, outcomes: Sequence[Outcomes]) -> bool | None:
        """Add outcomes to the breaker's probe, and reset the breaker if it passes; None if stopped in an outage."""
        first = self._brake.saw(one.batch for one in outcomes)
        passed = self._parts.brake.passes(self._brake.sample, outcomes)
        if passed:
            self._brake.end_probe()
        elif not first:
            return False
        let_go = await self._with_backoff(lambda: self._sink.probed(passed=passed))
        if let_go:
            log.warning("breaker_closed", lane=self.name, reason="a probe passed")
        return None if let_go is None else passed

    async def _settle_once(self, outcomes: Sequence[Outcomes]) -> CommitResult:
        try:
            with metrics.BATCHES_IN_FLIGHT.track_inprogress():
                return await self._settler.settle(outcomes, self.positions)
        except SinkUnavailable as error:
            if self._claims.are_kept_away(error, outcomes):
                raise BatchRefused(str(error)) from error
            if isinstance(error, CommitTimedOut) and self._size.halve():
                # The same records are read again, in smaller batches.
                raise BatchRefused(f"{error}; the next batches have at most {self._size.records} records") from error
            await note_wait(self._sink, outcomes, self._backoff.failures, error)
            raise

    async def _begin(self) -> bool:
        """Take over the partitions and seek to their stored offsets; False when asked to stop during an outage."""
        self._known.clear()
        self._pauses.replace(PauseReason.CLAIM, self.sources)
        for reason in (PauseReason.UNREADABLE, PauseReason.RETRY_DUE):
            # The position may be another one after the claim, so these reasons end.
            self._pauses.replace(reason, ())
        if (examination := await self._with_backoff(self._claim)) is None:
            return False
        self._foreign.found(examination.logs, self._parts.monotonic())
        self._pauses.replace(PauseReason.CLAIM, ())
        self.progressed_at = self._parts.monotonic()
        # A worker that ended after its commit in Postgres and before Kafka's has left an old offset in Kafka.
        self._hints.commit()
        return True

    async def _claim(self) -> Examination:
        """Take over the partitions and seek to their stored offsets; those with a replaced log in Kafka stay paused."""
        found = await examine(self._source, self._sink, self.sources)
        self.sources = sorted(one.log for one in found.logs)
        beginnings = {one.log: one.beginning for one in found.logs if one.foreign is None}
        stored = await self._sink.claim(beginnings, found.cluster)
        for source, beginning in beginnings.items():
            if stored[source] < beginning:
                stored[source] = await self._lose(source, beginning)
            self._source.rewind(source, stored[source])
        self.positions = dict(stored)
        self._hints.begin(stored)
        for one in found.logs:
            if one.foreign is not None:
                await self._sink.hold(one.log, one.foreign)
        self._brake.begin(self.sources, await self._sink.brake())
        return found

    async def _lose(self, source: TopicPartition, beginning: int) -> int:
        lost = await self._sink.lose(source, beginning)
        metrics.LOST.labels(source.topic, str(source.partition)).inc(lost)
        log.error("records_lost", topic=source.topic, partition=source.partition, lost=lost, beginning=beginning)
        return beginning

    async def _mind_foreign_logs(self) -> None:
        """Resume partitions with a replaced log if an operator has adopted the new log, or the old log is back."""
        if not self._foreign.is_time(self._parts.monotonic()):
            return
        replaced = self._pauses[PauseReason.REPLACED_LOG]
        found = await self._with_backoff(lambda: examine(self._source, self._sink, replaced))
        if found is not None and any(one.foreign is None for one in found.logs):
            await self._begin()

    def _poll_ms(self) -> int:
        """Return how long to wait for records: longer if none came for seconds, and no paused partition is to resume."""
        is_idle = self._parts.monotonic() > self._records_at + IDLE_SECONDS
        return IDLE_POLL_MS if is_idle and not any(self._pauses[reason] for reason in PauseReason) else POLL_MS

    def _polled(self) -> list[TopicPartition]:
        return self._pauses.unpaused(self.sources, NOT_POLLED)

    async def _with_backoff(self, work: Callable[[], Awaitable[T]]) -> T | None:
        """Repeat the work until Kafka and Postgres answer; None when asked to stop while one of them is away."""
        while True:
            try:
                done = await work()
            except SourceStopped:
                self.stop()
                return None
            except (SinkUnavailable, SourceUnavailable) as error:
                await self._wait_in_place(error)
                if self._stopping.is_set():
                    return None
            else:
                self._recovered()
                return done

    async def _wait_in_place(self, error: Exception) -> None:
        """Pause all partitions and wait, then poll once, so that the worker stays a member of its consumer group."""
        # The database may be a restored copy when it is back, without some of the committed keys.
        self._known.clear()
        seconds = self._backoff.failed(self.name, error)
        self._held_until = self._parts.monotonic() + seconds
        self._pauses.replace(PauseReason.OUTAGE, self.sources)
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            try:
                # Paused partitions return no records. A record that was fetched before the pause is read again later.
                self._rewind_to(await self._source.poll(self._polled(), timeout_ms=0, max_records=1))
            except (SourceUnavailable, SourceStopped, OffsetsGone):
                return

    def _recovered(self) -> None:
        if self._backoff.waiting:
            self._backoff.succeeded(self.name)
            self._pauses.replace(PauseReason.OUTAGE, ())
            self.progressed_at = self._parts.monotonic()

    def _rewind_to(self, batches: Sequence[Batch]) -> None:
        """Set the read positions back to the beginnings of these batches, which were not committed."""
        for batch in batches:
            self._source.rewind(batch.source, batch.prev)

    async def _prove_idle(self) -> None:
        """Compare the positions with Kafka's ends, since a lane without records may be idle or have a stuck fetch."""
        if self._parts.monotonic() - self.progressed_at < PROOF_SECONDS:
            return
        if (stored := await self._with_backoff(lambda: self._sink.stored(list(self.positions)))) is None:
            return
        if stored != self.positions:
            # Postgres was restored, or an operator has skipped a record. Nothing else changes the offsets of an owner.
            log.warning("offsets_moved", lane=self.name)
            await self._begin()
            return
        self._hints.commit()
        try:
            ends = await self._source.ends(self._pauses.unpaused(self.sources))
        except SourceUnavailable as error:
            # Kafka is away. The lane is not stuck, and a restart would not help.
            log.warning("kafka_unresponsive", lane=self.name, error=str(error))
            self.progressed_at = self._parts.monotonic()
            return
        if all((self._source.position(source) or 0) >= end for source, end in ends.items()):
            self.progressed_at = self._parts.monotonic()
