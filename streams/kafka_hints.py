"""Kafka's committed offsets: hints for lag tools, which follow what Postgres holds and which no work waits for."""

import asyncio
from collections.abc import Mapping

from schemas.record import TopicPartition
from streams.source import Source

LAST_SECONDS = 1.0


class KafkaHints:
    """What Kafka has yet to be told of a lane's offsets.

    While the group's coordinator is away an answer takes seconds, and the partitions of other brokers are well: Kafka is
    told beside the lane's work, one commit at a time, which takes up what was settled meanwhile.
    """

    def __init__(self, source: Source, lane: str) -> None:
        """`source` commits; `lane` is the lane's name."""
        self._source = source
        self._lane = lane
        self._untold: dict[TopicPartition, int] = {}
        self._telling: asyncio.Task[None] | None = None

    def follow(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Takes these offsets for those to tell, and tells Kafka if nothing is being told."""
        self._untold |= offsets
        self.tell()

    def begin(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Takes these offsets instead of all that was not told, of other partitions or from before a restored copy."""
        self._untold = dict(offsets)

    def tell(self) -> None:
        """Tells Kafka what it has not taken yet. Raises what the last try raised, which is a defect."""
        if self._telling is not None and self._telling.done():
            self._telling.result()
            self._telling = None
        if self._telling is None and self._untold:
            self._telling = asyncio.create_task(self._tell(), name=f"lane {self._lane} tells Kafka")

    async def _tell(self) -> None:
        while self._untold:
            offsets, self._untold = self._untold, {}
            if not await self._source.commit(offsets):
                # Again with the next batch, or when the lane proves that it is idle.
                self._untold = offsets | self._untold
                return

    async def close(self) -> None:
        """Waits at most a second for Kafka: whoever reads the partitions next tells it too."""
        if self._telling is not None:
            await asyncio.wait([self._telling], timeout=LAST_SECONDS)
            self._telling.cancel()
