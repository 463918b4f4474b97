"""What moves from moment to moment, as `bridge top` asks Postgres for it: each partition's counts, each worker's lanes."""

from typing import NamedTuple

from schemas.pipeline.record import TopicPartition
from sinks.postgres.connection import APPLICATION_PREFIX, connection
from sinks.postgres.statements import sql


class Counts(NamedTuple):
    """Attempts since the partition was first read, by how they ended, and who settles it now."""

    worker: str
    normalized: int
    retried: int
    dropped: int


class WorkerLanes(NamedTuple):
    """A worker's lanes that hold a session, and those of them that are at work; its name may be cut off."""

    worker: str
    lanes: int
    busy: int


class Activity(NamedTuple):
    """Both, as of about one moment."""

    counts: dict[TopicPartition, Counts]
    lanes: list[WorkerLanes]


async def read_activity(dsn: str, group: str) -> Activity:
    """Asks Postgres; raises SinkUnavailable."""
    async with connection(dsn, "top") as conn:
        counts = {
            TopicPartition(row["topic"], row["partition"]): Counts(*tuple(row.values())[2:])
            for row in await conn.fetch(sql("top_offsets"), group)
        }
        lanes = await conn.fetch(sql("top_lanes"), f"{APPLICATION_PREFIX} lane ")
        return Activity(counts, [WorkerLanes(*row.values()) for row in lanes])
