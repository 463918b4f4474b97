"""The note in Postgres about what a lane (a task of the worker) waits for. `bridge offsets show` prints the note."""

from collections.abc import Iterable
from typing import Final

from schemas.errors import SinkUnavailable
from schemas.pipeline.outcome import Outcomes
from sinks.ports import Sink

NOTED_TRIES: Final = 5
"""The number of failures in a row after which a note is written, within about ten seconds.

Operators need not act on shorter waits.
"""


async def note_wait(sink: Sink, outcomes: Iterable[Outcomes], failed: int, error: SinkUnavailable) -> None:
    """Write to the batch's partitions why their commit waits, when it has failed NOTED_TRIES times in a row.

    `failed` is the number of failures in a row. The note is removed by the commit of the batch, or when a worker takes
    over the partitions. Nothing is written while Postgres is away.
    """
    if failed != NOTED_TRIES:
        return
    try:
        for one in outcomes:
            await sink.hold(one.batch.source, f"its lane waits: {error}")
    except SinkUnavailable:
        return
