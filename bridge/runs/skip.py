"""`bridge offsets skip` as a job: passes one record that can't be read and holds its partition."""

import time

from bridge.runs.frame import Job
from bridge.runs.run import Run
from schemas.errors import EnvironmentUnfit, InvalidInput
from schemas.record import TopicPartition
from schemas.run_summary import OffsetsSummary
from schemas.settings import Settings
from sinks.kafka_admin import log_bounds
from sinks.offsets_admin import skip_record
from sinks.postgres_sink import PostgresSink
from streams.log_identity import examine
from streams.source import KafkaSource, OffsetsGone, taking

_POLL_MS = 500
_SECONDS = 20.0


def skip_job(settings: Settings, source: TopicPartition, offset: int, reason: str) -> Job[OffsetsSummary]:
    """The job for the record of this offset.

    Safe beside a worker: the stored offset moves by one only if it stands there, and whatever the worker holds then no
    longer continues it. The worker looks again within seconds.
    """

    async def work(run: Run[OffsetsSummary]) -> None:
        run.summary.reason = reason
        log, why = await _unreadable(settings, source, offset)
        with run.target(f"{source.topic}:{source.partition}"):
            if not run.dry_run:
                await skip_record(settings, log, offset)
            would = "would be " if run.dry_run else ""
            run.summary.changes.append(f"{log}: offset {offset} {would}skipped; it can't be read: {why}")
            run.summary.processed_total += 1

    return Job("offsets-skip", OffsetsSummary, work)


async def _unreadable(settings: Settings, partition: TopicPartition, offset: int) -> tuple[TopicPartition, str]:
    """The log's name, and why its record can't be read; raises InvalidInput unless it holds its partition."""
    if partition not in await log_bounds(settings, [partition.topic]):
        raise InvalidInput(f"Kafka has no {partition}; see `bridge offsets show`")
    sink = PostgresSink(settings.dsn, settings.group)
    try:
        async with taking(settings, [partition]) as source:
            one = (await examine(source, sink, [partition])).logs[0]
            if one.foreign is not None:
                raise InvalidInput(f"{one.log}: {one.foreign}; see `bridge topics adopt`")
            stands = (await sink.stored([one.log])).get(one.log)
            if stands != offset:
                where = "nowhere yet" if stands is None else f"at {stands}"
                raise InvalidInput(f"{one.log} stands {where}, not at {offset}; see `bridge offsets show`")
            if offset >= one.end:
                raise InvalidInput(f"{one.log} ends at {one.end}: there is no record at {offset} yet")
            return one.log, await _tried(source, one.log, offset)
    finally:
        await sink.close()


async def _tried(source: KafkaSource, log: TopicPartition, offset: int) -> str:
    source.rewind(log, offset)
    source.resume([log])
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        try:
            found = await source.poll([log], timeout_ms=_POLL_MS, max_records=1)
        except OffsetsGone as error:
            raise InvalidInput(f"{log}: {error}; a worker records the loss") from error
        if found:
            raise InvalidInput(f"{log}: the record at {offset} can be read, so that a worker settles it")
        if log in source.unreadable():
            return source.unreadable()[log]
    raise EnvironmentUnfit(f"{log}: Kafka did not answer within {_SECONDS:.0f} s; try again")
