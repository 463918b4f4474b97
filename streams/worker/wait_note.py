"""The note in Postgres about what a lane waits for, which `bridge offsets show` prints."""

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
    """Write the reason for the wait to the batch's partitions, when `failed` (failures in a row) is NOTED_TRIES.

    The commit of the batch, or the next claim, removes the note. Nothing is written while Postgres is away.
    """
    if failed != NOTED_TRIES:
        return
    try:
        for one in outcomes:
            await sink.hold(one.batch.source, f"its lane waits: {error}")
    except SinkUnavailable:
        return
