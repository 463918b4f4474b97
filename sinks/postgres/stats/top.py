"""Live figures of Postgres for `bridge top`: each partition's counts, each worker's lanes."""

from typing import NamedTuple

from schemas.pipeline.record import TopicPartition
from sinks.postgres.connection import APPLICATION_PREFIX, connection
from sinks.postgres.statements import sql


class Counts(NamedTuple):
    """Attempts since the partition was first read, by outcome, and the worker that commits it now."""

    worker: str
    normalized: int
    retried: int
    dropped: int


class WorkerLanes(NamedTuple):
    """The number of a worker's lanes with a session, and of those at work; the name may be cut off."""

    worker: str
    lanes: int
    busy: int


class Activity(NamedTuple):
    """Both, as of about one moment."""

    counts: dict[TopicPartition, Counts]
    lanes: list[WorkerLanes]


async def read_activity(dsn: str, group: str) -> Activity:
    """Read the figures from Postgres; raises SinkUnavailable."""
    async with connection(dsn, "top") as conn:
        counts = {
            TopicPartition(row["topic"], row["partition"]): Counts(*tuple(row.values())[2:])
            for row in await conn.fetch(sql("top_offsets"), group)
        }
        lanes = await conn.fetch(sql("top_lanes"), f"{APPLICATION_PREFIX} lane ")
        return Activity(counts, [WorkerLanes(*row.values()) for row in lanes])
