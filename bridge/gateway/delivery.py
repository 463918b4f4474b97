"""The delivery of one request's records: the records that Kafka has not acknowledged yet, and the wait for them."""

import asyncio
from typing import Self

from bridge.gateway.admission.sender_turns import Path
from bridge.gateway.loop_time import LoopTime
from bridge.http.byte_budget import Held


class Delivery:
    """The delivery of one request's records to Kafka.

    It is done when Kafka has acknowledged all batches with these records, or when one of the batches has failed.

    The records count towards the sender's limit of unacknowledged bytes until all of their batches have ended, even if
    the request ends earlier. Use the delivery as a context, and add the records within the block.
    """

    __slots__ = ("_held", "_left", "_waiter", "batched_at", "clock", "error", "queued", "sender")

    def __init__(self, sender: Path, held: Held, clock: LoopTime) -> None:
        self.sender = sender
        self.clock = clock
        self._held = held
        self._left = 0
        self._waiter: asyncio.Future[None] | None = None
        self.error: BaseException | None = None
        self.queued = 0
        """The number of records that wait for their partition, and are in no batch yet."""
        self.batched_at = 0.0
        """When the newest batch with a record of this request began, by the clock."""

    def __enter__(self) -> Self:
        self._held.__enter__()
        self._left = 1
        return self

    def __exit__(self, *_: object) -> None:
        self.settled(1, None)

    def joins(self) -> None:
        """Count one more record of this request that waits for the next batch of its partition."""
        self._left += 1
        self.queued += 1

    def settled(self, count: int, error: BaseException | None) -> None:
        """Count `count` records as acknowledged; with an `error`, as failed."""
        self._left -= count
        self.error = self.error or error
        if self._left == 0:
            self._held.__exit__()
        if self._waiter is not None and not self._waiter.done() and (self._left == 0 or error is not None):
            self._waiter.set_result(None)

    def waited_in_queue(self, seconds: float) -> bool:
        """Return whether records wait in a queue, or waited there until less than `seconds` ago."""
        return self.queued > 0 or self.clock.now() - self.batched_at < seconds

    async def acknowledged(self, seconds: float) -> bool:
        """Wait at most `seconds` until Kafka has acknowledged all records; returns whether it has.

        The time in which the event loop was late does not count, because an acknowledgement may have arrived unread.
        """
        if self._left and self.error is None:
            loop, ends = asyncio.get_running_loop(), self.clock.now() + seconds
            self._waiter = waiter = loop.create_future()

            timer: asyncio.TimerHandle

            def give_up() -> None:
                nonlocal timer
                left = ends - self.clock.now()
                if left > 0:
                    timer = loop.call_later(left, give_up)
                elif not waiter.done():
                    waiter.set_result(None)

            timer = loop.call_later(seconds, give_up)
            try:
                await waiter
            finally:
                timer.cancel()
        return self._left == 0 and self.error is None
