"""Live figures from Postgres for `bridge top`: the counts of each partition, and the lanes of each worker.

A lane is a worker's task that commits batches of events over a database session of its own.
"""

from collections.abc import Sequence
from typing import NamedTuple

from schemas.pipeline.record import TopicPartition
from sinks.postgres.connection import APPLICATION_PREFIX, connection
from sinks.postgres.offsets.admin import MOST_LOGS
from sinks.postgres.records import named, partition_of
from sinks.postgres.statements import sql


class Counts(NamedTuple):
    """Attempts by outcome since the partition was first read, and the worker that commits the partition now."""

    worker: str
    normalized: int
    retried: int
    dropped: int


class WorkerLanes(NamedTuple):
    """How many lanes (tasks that commit batches) of a worker have a database session, and how many are busy.

    Postgres may have cut the worker's name.
    """

    worker: str
    lanes: int
    busy: int


class Activity(NamedTuple):
    """The counts of all partitions and the lanes (committing tasks) of all workers, read at about the same moment."""

    counts: dict[TopicPartition, Counts]
    lanes: list[WorkerLanes]


async def read_activity(dsn: str, group: str, topics: Sequence[str]) -> Activity:
    """Read the figures from Postgres, of at most MOST_LOGS logs, those of `topics` first; raises SinkUnavailable."""
    async with connection(dsn, "top") as conn:
        rows = await conn.fetch(sql("top_offsets"), group, topics, MOST_LOGS)
        counts = {partition_of(row): named(Counts, row) for row in rows}
        lanes = await conn.fetch(sql("top_lanes"), f"{APPLICATION_PREFIX} lane ")
        return Activity(counts, [WorkerLanes(*row.values()) for row in lanes])
