"""The commit of batches: check them, publish copies of failed events to Kafka, then commit in Postgres.

If Postgres refuses the rows, the committer finds the one that it refuses.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

import structlog

from schemas.errors import BreakerOpen, CommitTimedOut, RowRejected, SinkUnavailable
from schemas.pipeline.breaker import BreakerCause, Passing
from schemas.pipeline.outcome import Outcomes, dropped
from schemas.pipeline.record import TopicPartition
from schemas.reasons import DroppedReason, ErrorClass
from sinks.commit_rules import check_offsets, check_positions, logged
from sinks.ports import CommitResult, Publisher, Rejected, Sink
from sinks.postgres.errors import TIMED_OUT
from streams.rules.breaker import BreakerJudge, is_for_retries_only
from streams.worker.paused.elsewhere import Elsewhere
from telemetry import metrics

CHECK_SECONDS: Final = 1.0
"""How often the stored offsets are checked before a commit that publishes nothing, at most."""

log = structlog.get_logger(__name__)


class BatchCommitter:
    """The committer of one lane's batches. A lane is a task of the worker that commits the batches of some partitions.

    The committer never waits for Kafka while it holds a lock of a row or a table. `elsewhere` is shared by the lanes of
    the process.
    """

    def __init__(
        self,
        sink: Sink,
        publisher: Publisher,
        judge: BreakerJudge,
        elsewhere: Elsewhere | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`monotonic` returns seconds."""
        self._sink = sink
        self._publisher = publisher
        self._judge = judge
        self._elsewhere = elsewhere or Elsewhere()
        self._monotonic = monotonic
        self._check_again_at = 0.0

    async def settle(
        self, outcomes: Sequence[Outcomes], positions: Mapping[TopicPartition, int] = MappingProxyType({})
    ) -> CommitResult:
        """Publish the copies of failed events (retries and dead letters), then write all outcomes in one transaction.

        `positions` are the stored offsets of all partitions of the calling task, as it last read them. If Postgres has
        another offset for one of them, Postgres was restored or another session has changed the offset, and the commit
        is refused. Without copies to publish, they are compared once in CHECK_SECONDS and after an outage: the commit
        compares those of its own partitions under their lock.

        May be called again with the same outcomes after SinkUnavailable. It does not publish a copy twice, and does not
        try again to publish a copy that Kafka has refused. Raises BatchRefused if the batch does not continue the
        stored offset. Raises BreakerOpen, with nothing published or written, if the circuit breaker is open and the
        batch has dead letters.
        """
        while True:
            with metrics.phase("check"):
                await self._check_stored(outcomes, positions)
                await self._check_brake(outcomes)
            with metrics.phase("publish"):
                await self._publisher.publish([failure for one in outcomes for failure in one.failures])
            if _end_refused_retries(outcomes):
                continue
            try:
                with metrics.phase("commit"):
                    committed = await self._sink.commit(outcomes)
            except SinkUnavailable as error:
                # Postgres may be a restored copy when it is back.
                self._check_again_at = 0.0
                if error.sqlstate == TIMED_OUT:
                    raise CommitTimedOut(str(error), sqlstate=error.sqlstate) from error
                raise
            except RowRejected as error:
                found = await self._sink.rejected(outcomes)
                if not found:
                    raise SinkUnavailable(
                        f"Postgres refused a row of the batch, but refuses none of the rows alone: {error}"
                    ) from error
                _drop(found, outcomes)
            else:
                if committed.tally.normalized:
                    # Duplicates that only Postgres knew are among the candidates.
                    self._judge.committed(outcomes)
                return committed

    async def _check_stored(self, outcomes: Sequence[Outcomes], positions: Mapping[TopicPartition, int]) -> None:
        """Raise BatchRefused if Postgres has other offsets than the batches and the positions continue."""
        now = self._monotonic()
        if now < self._check_again_at and not any(one.failures for one in outcomes):
            return
        stored = await self._sink.stored(sorted({*positions, *(batch.source for batch in logged(outcomes))}))
        check_offsets(stored, outcomes)
        check_positions(stored, positions)
        self._check_again_at = now + CHECK_SECONDS

    async def rehearse(self, outcomes: Sequence[Outcomes]) -> Sequence[Outcomes]:
        """Return the outcomes that a commit would have, without writing or publishing anything.

        Events whose rows Postgres would refuse become failures. Raises SinkUnavailable.
        """
        if any(one.candidates for one in outcomes):
            _drop(await self._sink.rejected(outcomes), outcomes)
        return outcomes

    async def _check_brake(self, outcomes: Sequence[Outcomes]) -> None:
        """Count the outcomes for the circuit breaker, and open it if it must trip.

        Raises BreakerOpen if the breaker is open then, and there are dead letters to publish.
        """
        if not any(failure.due_copy for one in outcomes for failure in one.dead_letters()):
            self._judge.weigh(outcomes)
            return
        state = await self._sink.brake()
        if state.released:
            return
        if is_for_retries_only(state, outcomes):
            if await self._cause(outcomes) is None:
                return
        elif not state.engaged:
            cause = await self._cause(outcomes)
            if cause is None:
                return
            state = await self._sink.engage(cause)
            if not state.engaged:
                return
            shown = {name: value for name, value in state.details.items() if name != "event"}
            log.error("breaker_opened", **shown | {"reason": state.reason})
        # The records are processed again after the pause. Their counts then begin at zero.
        self._judge.clear()
        raise BreakerOpen(f"the circuit breaker is open: {state.reason}; see `bridge breaker status`")

    async def _cause(self, outcomes: Sequence[Outcomes]) -> BreakerCause | None:
        """Count the outcomes, and return why the circuit breaker must trip, if it must.

        A sender chooses the partitions of its events, and so the process. Where this process's events alone would trip
        the breaker, those of all processes decide; nothing trips it while these are unknown.
        """
        weighed = self._judge.count(outcomes)
        if self._judge.decide(weighed) is None:
            return None
        passing = await self.passing()
        return None if passing is None else self._judge.decide(weighed, passing)

    async def passing(self) -> Passing | None:
        """Return whose events pass in any process; None if Postgres has not said so in time."""
        return await self._elsewhere.ask(self._sink, self._judge.window_seconds, self._judge.quiet_seconds)


def _end_refused_retries(outcomes: Sequence[Outcomes]) -> bool:
    """Turn retries whose copies Kafka refuses into dead letters; return whether there were any.

    If Kafka refuses the dead letter too, it is committed without a copy. The ledger (the table of failed events) has
    all of it.
    """
    refused = [one for each in outcomes for one in each.failures if one.refused and one.retry_topic is not None]
    for failure in refused:
        failure.end_retries(f"Kafka refuses its copy: {failure.refused}")
    return bool(refused)


def _drop(found: Sequence[Rejected], outcomes: Sequence[Outcomes]) -> None:
    """Turn the candidates (events to become rows) that Postgres refuses into failures, in place.

    Nothing else changes outcomes after the processing.
    """
    refused = {id(one.candidate): one.error for one in found}
    for one in outcomes:
        kept = []
        for candidate in one.candidates:
            error = refused.get(id(candidate))
            if error is None:
                kept.append(candidate)
            else:
                one.failures.append(
                    dropped(candidate, ErrorClass.SINK_REJECTED_ROW, DroppedReason.SINK_REJECTED_ROW, error)
                )
        one.candidates[:] = kept
