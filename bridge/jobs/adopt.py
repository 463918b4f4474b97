"""`bridge topics adopt` as a job: workers read a replaced log (truncated, recreated or moved) from its beginning."""

from contextlib import aclosing

from bridge.jobs.frame import Job
from bridge.jobs.run import Run
from schemas.config.settings import Settings
from schemas.documents.run_summary import OffsetsSummary
from schemas.errors import InvalidInput
from schemas.pipeline.record import TopicPartition
from sinks.kafka.admin import log_bounds
from sinks.postgres.offsets.admin import adopt_log
from sinks.postgres.sink import PostgresSink
from streams.source.kafka import taking
from streams.source.log_identity import Examination, Examined, examine


def adopt_job(settings: Settings, topic: str, partition: int | None, reason: str) -> Job[OffsetsSummary]:
    """Return the job that adopts the replaced logs of a topic, or of one partition of the topic.

    A log is the records of one partition. It was replaced if the topic was truncated, recreated or moved. Workers read
    an adopted log from its beginning.
    """

    async def work(run: Run[OffsetsSummary]) -> None:
        run.summary.reason = reason
        found = await _examined(settings, topic, partition)
        foreign = [one for one in found.logs if one.foreign is not None]
        if not foreign:
            raise InvalidInput(
                f"{topic if partition is None else TopicPartition(topic, partition)}: the topic was not "
                "recreated, so there is nothing to adopt; see `bridge offsets show`"
            )
        await run.begins()
        for one in foreign:
            with run.target(f"{topic}:{one.log.partition}"):
                await _adopt(settings, run, one, found.cluster)
                run.summary.processed_total += 1

    return Job("topics-adopt", OffsetsSummary, work, quiet=True)


async def _examined(settings: Settings, topic: str, partition: int | None) -> Examination:
    declared = (settings.topics.raw, *settings.topics.retries)
    if topic not in declared:
        raise InvalidInput(f"{topic!r} is not read by workers; give one of {', '.join(declared)}")
    exist = sorted(await log_bounds(settings, [topic]))
    wanted = [one for one in exist if partition in (None, one.partition)]
    if not wanted:
        raise InvalidInput(
            f"Kafka has no such partition: {topic} has {len(exist)} partitions; see `bridge topics check`"
        )
    async with aclosing(PostgresSink(settings.dsn, settings.group)) as sink, taking(settings, wanted) as source:
        return await examine(source, sink, wanted)


async def _adopt(settings: Settings, run: Run[OffsetsSummary], one: Examined, cluster: str) -> None:
    why = f"{one.log}: {one.foreign}"
    if run.dry_run:
        run.summary.changes.append(f"{why}; would be adopted from {one.beginning} on")
        return
    new = await adopt_log(settings, one.log, one.beginning, cluster)
    run.summary.changes.append(f"{why}; adopted as {new} from {one.beginning} on")
