"""The commits of offsets to Kafka's consumer group. They copy the offsets in Postgres, and serve only lag tools."""

import asyncio
from collections.abc import Mapping

from schemas.pipeline.record import TopicPartition
from streams.source.kafka import Source

LAST_SECONDS = 1.0


class KafkaHints:
    """The offsets of one lane (a task that reads some partitions) that are still to be committed to Kafka.

    While the group's coordinator is away, a commit takes seconds, although the partitions of other brokers can be read.
    Commits therefore run beside the lane's work, one at a time. Each commits the latest offsets.
    """

    def __init__(self, source: Source, lane: str) -> None:
        """`source` commits the offsets; `lane` is the lane's name."""
        self._source = source
        self._lane = lane
        self._pending: dict[TopicPartition, int] = {}
        self._committing: asyncio.Task[None] | None = None

    def follow(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Add these offsets to those that are still to be committed to Kafka, and start a commit."""
        self._pending |= offsets
        self.commit()

    def begin(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Replace the offsets that are still to be committed to Kafka by these.

        The old ones may be wrong, because Postgres was restored.
        """
        self._pending = dict(offsets)

    def commit(self) -> None:
        """Start a commit of the latest offsets to Kafka unless a commit is running.

        Raises the error of the last commit, which is a defect.
        """
        if self._committing is not None and self._committing.done():
            self._committing.result()
            self._committing = None
        if self._committing is None and self._pending:
            self._committing = asyncio.create_task(self._commit_pending(), name=f"offsets of lane {self._lane}")

    async def _commit_pending(self) -> None:
        while self._pending:
            offsets, self._pending = self._pending, {}
            if not await self._source.commit(offsets):
                # The next try follows the lane's next batch, or its next proof that it is idle.
                self._pending = offsets | self._pending
                return

    async def close(self) -> None:
        """Wait at most a second for a running commit to Kafka, then cancel it.

        The worker that reads the partitions next commits their offsets too.
        """
        if self._committing is not None:
            await asyncio.wait([self._committing], timeout=LAST_SECONDS)
            self._committing.cancel()
