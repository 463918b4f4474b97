"""Kafka's committed offsets: hints for lag tools, which follow the offsets in Postgres. No work waits for them."""

import asyncio
from collections.abc import Mapping

from schemas.pipeline.record import TopicPartition
from streams.source.kafka import Source

LAST_SECONDS = 1.0


class KafkaHints:
    """A lane's offsets that are still to be committed to Kafka.

    While the group's coordinator is away a commit takes seconds, and the partitions of other brokers are well. Commits
    therefore run beside the lane's work, one at a time; each commits the newest offsets.
    """

    def __init__(self, source: Source, lane: str) -> None:
        """`source` commits; `lane` is the lane's name."""
        self._source = source
        self._lane = lane
        self._pending: dict[TopicPartition, int] = {}
        self._committing: asyncio.Task[None] | None = None

    def follow(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Adds these offsets to the pending ones, and commits them."""
        self._pending |= offsets
        self.commit()

    def begin(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Replaces the pending offsets, which may be from before a restore."""
        self._pending = dict(offsets)

    def commit(self) -> None:
        """Starts a commit of the pending offsets unless one runs. Raises what the last one raised, which is a defect."""
        if self._committing is not None and self._committing.done():
            self._committing.result()
            self._committing = None
        if self._committing is None and self._pending:
            self._committing = asyncio.create_task(self._commit_pending(), name=f"offsets of lane {self._lane}")

    async def _commit_pending(self) -> None:
        while self._pending:
            offsets, self._pending = self._pending, {}
            if not await self._source.commit(offsets):
                # The next try comes with the next batch, or when the lane proves that it is idle.
                self._pending = offsets | self._pending
                return

    async def close(self) -> None:
        """Waits at most a second for a running commit: the next owner of the partitions commits their offsets too."""
        if self._committing is not None:
            await asyncio.wait([self._committing], timeout=LAST_SECONDS)
            self._committing.cancel()
