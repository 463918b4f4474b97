"""The note in Postgres of what a lane waits for, which `bridge offsets show` prints."""

from collections.abc import Iterable
from typing import Final

from schemas.errors import SinkUnavailable
from schemas.pipeline.outcome import Outcomes
from sinks.ports import Sink

NOTED_TRIES: Final = 5
"""So many tries in a row fail within about ten seconds: what is over by then needs no operator."""


async def note_wait(sink: Sink, outcomes: Iterable[Outcomes], failed: int, error: SinkUnavailable) -> None:
    """Notes at the partitions of a batch that `failed` so many times in a row why their lane waits.

    The batch's commit, or the next claim, removes the note. There is none while Postgres is away.
    """
    if failed != NOTED_TRIES:
        return
    try:
        for one in outcomes:
            await sink.hold(one.batch.source, f"its lane waits: {error}")
    except SinkUnavailable:
        return
