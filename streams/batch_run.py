"""Processing and commit of events by a job (a command that ends) instead of a worker.

A job commits the due retries of the ledger, and the records of the raw topic while no worker reads that topic. The
ledger is the table with a row for each event whose first attempt failed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from schemas.errors import BatchRefused, BridgeError
from schemas.pipeline.ledger import Waiting
from schemas.pipeline.record import LEDGER_TOPIC, Batch, CarriedRecord, Provenance, TopicPartition
from sinks.ports import CommitResult, Sink
from streams.judging import Judging
from streams.pipeline.processor import replays_claimed, with_token
from streams.source.kafka import Source
from streams.source.log_identity import REMEDY, examine
from streams.worker.committer import BatchCommitter

POLL_MS = 500
# How often a batch is processed again after a worker has committed one of its events first.
TRIES = 3


def ledger_batch(waiting: Sequence[Waiting], now_ms: int) -> Batch:
    """Return a batch of the next attempts at these events, which wait in the ledger (the table of failed events).

    The batch does not come from a Kafka partition, so its commit advances no stored offset.
    """
    records = [
        CarriedRecord(
            LEDGER_TOPIC, 0, number, now_ms, 1, one.body.key, one.body.value,
            with_token(one.body.headers, one.provenance, one.attempt),
        )
        for number, one in enumerate(waiting)
    ]  # fmt: skip
    return Batch(TopicPartition(LEDGER_TOPIC, 0), 0, len(records), records)


@dataclass(frozen=True, slots=True)
class OneShot(Judging):
    """Processing and commit of a job's batches, by the same rules as in a worker.

    Unlike a worker, it does not repeat after an outage: the error is raised.
    """

    sink: Sink
    committer: BatchCommitter

    async def settle_waiting(self, waiting: Sequence[Waiting]) -> CommitResult:
        """Commit the next attempts of events that wait for a retry in the ledger (the table of failed events).

        An attempt that a worker has committed since the events were read counts as stale, which has no effect.
        """
        batch = ledger_batch(waiting, self.now_ms())
        tries = 1
        while True:
            try:
                return await self._settle([batch], [one.provenance for one in waiting])
            except BatchRefused:
                if tries == TRIES:
                    raise
                tries += 1

    async def settle_raw(self, batches: Sequence[Batch]) -> CommitResult:
        """Commit the first attempts of these batches of the raw topic.

        Raises BatchRefused when another consumer has advanced the stored offsets meanwhile.
        """
        return await self._settle(batches, replays_claimed(batches))

    async def _settle(self, batches: Sequence[Batch], concerned: Sequence[Provenance]) -> CommitResult:
        states = await self.sink.ledger(concerned)
        outcomes = await self.judge(batches, (), states)
        return await self.committer.settle(outcomes)


class RawTopicReader:
    """A reader of the raw topic from the stored offsets to the end offsets, for a job to use while no worker runs."""

    def __init__(self, source: Source, sink: Sink, partitions: Sequence[TopicPartition]) -> None:
        self._source = source
        self._sink = sink
        self._partitions = sorted(partitions)
        self._ends: dict[TopicPartition, int] = {}

    async def begin(self) -> None:
        """Seek every partition to its stored offset, and read the end offsets at which this reader will stop.

        Raises BridgeError if a topic was recreated, or if Kafka has already deleted the record at a stored offset.
        """
        found = await examine(self._source, self._sink, self._partitions)
        for one in found.logs:
            if one.foreign is not None:
                raise BridgeError(f"{one.log}: {one.foreign}; {REMEDY}")
        self._partitions = [one.log for one in found.logs]
        self._ends = {one.log: one.end for one in found.logs}
        beginnings = {one.log: one.beginning for one in found.logs}
        for source, offset in (await self._sink.claim(beginnings, found.cluster)).items():
            if offset < beginnings[source]:
                raise BridgeError(
                    f"{source}: the stored offset is {offset}, but Kafka's log begins at {beginnings[source]}; start "
                    "`bridge worker`, which counts the records between them as lost"
                )
            self._source.rewind(source, offset)
        self._source.resume(self._partitions)

    def leave(self, source: TopicPartition) -> None:
        """Stop reading this partition.

        Called when some of its records were not committed, since later ones would leave a gap.
        """
        self._partitions.remove(source)

    async def tell_kafka(self, batch: Batch) -> None:
        """Commit the offset after this batch to Kafka's consumer group, only so that lag tools see the progress."""
        await self._source.commit({batch.source: batch.next})

    async def read(self, limit: int) -> list[Batch]:
        """Return the next batches, with at most `limit` records in total.

        Returns [] when all partitions are at the end offsets that `begin` has read.
        """
        while behind := [one for one in self._partitions if (self._source.position(one) or 0) < self._ends[one]]:
            if batches := await self._source.poll(behind, timeout_ms=POLL_MS, max_records=limit):
                return batches
        return []
