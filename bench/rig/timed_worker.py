"""`python -m bench.rig.timed_worker`: `bridge worker` that notes when records are fetched, taken, processed and committed.

The product's own spans can't show these stages: a span of a commit begins when the processing has ended, and has
milliseconds. So this process wraps three methods before it starts the worker. They are the same in every release: the
client's object of a fetch, the source's `poll`, and the committer's `settle`. The product has no code for this.
"""

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from aiokafka.consumer import fetcher

from schemas.pipeline.outcome import Outcomes
from schemas.pipeline.record import Batch
from sinks.ports import CommitResult
from streams.source.kafka import KafkaSource
from streams.worker.committer import BatchCommitter

NOTES: Final = "BENCH_NOTES"
"""The variable with the file that the notes are written to when the worker has ended."""

_fetched: list[tuple[str, int, int, float]] = []
"""Topic, partition, offset from which the fetch was asked for, and the time of its answer."""
_taken: list[tuple[str, int, int, int, float]] = []
"""Topic, partition, first offset, the offset after the last one, and when the source returned them to a lane."""
_settled: list[tuple[str, int, int, int, float, float]] = []
"""The same place, when the batch was processed, and when its commit had returned."""


class _NotedRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka ships no types
    def __init__(self, tp: Any, records: Any, aborted: Any, fetch_offset: int, *rest: Any) -> None:
        _fetched.append((tp.topic, tp.partition, fetch_offset, time.monotonic()))
        super().__init__(tp, records, aborted, fetch_offset, *rest)


def _note_polls() -> None:
    poll = KafkaSource.poll

    async def noted(self: KafkaSource, *given: Any, **named: Any) -> list[Batch]:
        batches = await poll(self, *given, **named)
        now = time.monotonic()
        _taken.extend((*batch.source.in_kafka, batch.prev, batch.next, now) for batch in batches)
        return batches

    KafkaSource.poll = noted  # type: ignore[method-assign]  # for this process


def _note_commits() -> None:
    settle = BatchCommitter.settle

    async def noted(self: BatchCommitter, outcomes: Sequence[Outcomes], *given: Any, **named: Any) -> CommitResult:
        processed = time.monotonic()
        committed = await settle(self, outcomes, *given, **named)
        now = time.monotonic()
        batches = [one.batch for one in outcomes]
        _settled.extend((*batch.source.in_kafka, batch.prev, batch.next, processed, now) for batch in batches)
        return committed

    BatchCommitter.settle = noted  # type: ignore[method-assign]  # for this process


def _write() -> None:
    notes = {"fetched": _fetched, "taken": _taken, "settled": _settled}
    Path(os.environ[NOTES]).write_text(json.dumps(notes))


if __name__ == "__main__":
    fetcher.PartitionRecords = _NotedRecords
    _note_polls()
    _note_commits()
    from bridge.cli import main

    sys.argv[1:] = ["worker"]
    try:
        main()
    finally:
        _write()
