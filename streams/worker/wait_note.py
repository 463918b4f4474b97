"""The note in Postgres of what a lane waits for, as printed by `bridge offsets show`."""

from collections.abc import Iterable
from typing import Final

from schemas.errors import SinkUnavailable
from schemas.pipeline.outcome import Outcomes
from sinks.ports import Sink

NOTED_TRIES: Final = 5
"""Consecutive failures before a note is written, within about ten seconds: shorter waits need no operator."""


async def note_wait(sink: Sink, outcomes: Iterable[Outcomes], failed: int, error: SinkUnavailable) -> None:
    """Write the reason for the wait to the batch's partitions once `failed`, the failures in a row, is NOTED_TRIES.

    The batch's commit, or the next claim, removes the note. No note is written while Postgres is away.
    """
    if failed != NOTED_TRIES:
        return
    try:
        for one in outcomes:
            await sink.hold(one.batch.source, f"its lane waits: {error}")
    except SinkUnavailable:
        return
