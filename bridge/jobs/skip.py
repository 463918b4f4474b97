"""`bridge offsets skip` as a job: skips the record, or the batch of records, at which its partition is blocked."""

import time
from collections.abc import Sequence
from contextlib import aclosing, suppress
from typing import NamedTuple

from bridge.jobs.frame import Job
from bridge.jobs.run import Run
from schemas.config.settings import Settings
from schemas.documents.run_summary import OffsetsSummary
from schemas.errors import InvalidInput, PreconditionFailed
from schemas.pipeline.record import RawRecord, TopicPartition
from sinks.kafka.admin import log_bounds
from sinks.postgres.offsets.admin import skip_records
from sinks.postgres.sink import PostgresSink
from streams.source.kafka import KafkaSource, OffsetsGone, SourceUnavailable, taking
from streams.source.log_identity import examine

_POLL_MS = 500
_SECONDS = 20.0


class Skipped(NamedTuple):
    """What is skipped: the records of this log from `offset` to before `end`, and why they can be."""

    log: TopicPartition
    offset: int
    end: int
    why: str


def skip_job(
    settings: Settings,
    source: TopicPartition,
    offset: int,
    reason: str,
    *,
    readable: bool = False,
    whole_batch: bool = False,
) -> Job[OffsetsSummary]:
    """Return the job that skips the record at this offset, or all records from there to the end of its batch.

    A record that can be read is skipped only if `readable`, and then without the others of its batch.

    The job is safe while a worker runs. It increases the partition's stored offset only if that offset equals `offset`.
    The worker can't commit a batch that it read before the skip, because that batch does not begin at the new stored
    offset. The worker reads the stored offset again within seconds.
    """

    async def work(run: Run[OffsetsSummary]) -> None:
        run.summary.reason = reason
        if readable and whole_batch:
            raise InvalidInput("--batch skips only what can't be read; omit --readable, or skip one record at a time")
        found = await _passable(settings, source, offset, readable=readable, whole_batch=whole_batch)
        with run.target(f"{source.topic}:{source.partition}"):
            await run.begins()
            if not run.dry_run:
                await skip_records(settings, found.log, offset, found.end)
            run.summary.changes.append(_told(found, would=run.dry_run))
            run.summary.processed_total += found.end - offset

    return Job("offsets-skip", OffsetsSummary, work, quiet=True)


def _told(found: Skipped, *, would: bool) -> str:
    count = found.end - found.offset
    records = f"offset {found.offset}" if count == 1 else f"offsets {found.offset} to {found.end - 1} ({count} records)"
    return f"{found.log}: {records} {'would be ' if would else ''}skipped; {found.why}"


async def _passable(
    settings: Settings, partition: TopicPartition, offset: int, *, readable: bool, whole_batch: bool
) -> Skipped:
    """Return what is skipped; raises InvalidInput if it must not be."""
    if partition not in await log_bounds(settings, [partition.topic]):
        raise InvalidInput(f"Kafka has no partition {partition}; see `bridge offsets show`")
    async with aclosing(PostgresSink(settings.dsn, settings.group)) as sink, taking(settings, [partition]) as source:
        one = (await examine(source, sink, [partition])).logs[0]
        if one.foreign is not None:
            raise InvalidInput(f"{one.log}: {one.foreign}; see `bridge topics adopt`")
        position = (await sink.stored([one.log])).get(one.log)
        if position is None:
            raise InvalidInput(f"{one.log} has no stored offset yet; see `bridge offsets show`")
        if position != offset:
            raise InvalidInput(f"{one.log} has the stored offset {position}, not {offset}; see `bridge offsets show`")
        if offset >= one.end:
            raise InvalidInput(f"{one.log} ends at offset {one.end}: there is no record at {offset} yet")
        why = await _tried(source, one.log, offset, readable=readable)
        if readable:
            return Skipped(one.log, offset, offset + 1, why)
        if whole_batch:
            return Skipped(one.log, offset, await source.batch_end(one.log, offset), why)
        # One record is skipped also if the header of its batch is damaged.
        with suppress(SourceUnavailable):
            if (end := await source.batch_end(one.log, offset)) > offset + 1:
                why += f"; the rest of its batch, up to offset {end - 1}, can be skipped at once with --batch"
        return Skipped(one.log, offset, offset + 1, why)


async def _tried(source: KafkaSource, log: TopicPartition, offset: int, *, readable: bool) -> str:
    source.rewind(log, offset)
    source.resume([log])
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        try:
            found = await source.poll([log], timeout_ms=_POLL_MS, max_records=1)
        except OffsetsGone as error:
            raise InvalidInput(
                f"{log}: {error}; a worker skips these records by itself and records the loss"
            ) from error
        if found:
            return _given_up(log, offset, found[0].records, readable=readable)
        if log in source.unreadable():
            return f"it can't be read: {source.unreadable()[log]}"
    raise PreconditionFailed(f"{log}: Kafka did not answer within {_SECONDS:.0f} s; try again")


def _given_up(log: TopicPartition, offset: int, records: Sequence[RawRecord], *, readable: bool) -> str:
    """Describe the readable record that is skipped; raises InvalidInput if a worker should process the record."""
    if not records or records[0].offset != offset:
        raise InvalidInput(f"{log}: there is no record at offset {offset}; a worker passes such a gap by itself")
    if not readable:
        raise InvalidInput(
            f"{log}: the record at offset {offset} can be read, so a worker can process it. If the worker waits at it "
            "without end (`held` in `bridge offsets show`), skip it with --readable"
        )
    key, value = (len(part or b"") for part in (records[0].key, records[0].value))
    kept = "the raw topic keeps it until its retention ends; the ledger and the DLQ do not contain it"
    return f"it can be read (key of {key} bytes, value of {value} bytes), and is given up: {kept}"
