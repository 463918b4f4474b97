"""Queues of undelivered events: the interface of a queue, and the queue in memory."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Protocol

from bridge.client.errors import BufferFull, Undelivered
from bridge.client.event import Event


class Batch(list[Event]):
    """Events that are sent together. `first` is the number of its first event among all events taken from the queue."""

    def __init__(self, events: Sequence[Event], first: int) -> None:
        super().__init__(events)
        self.first = first


class EventQueue(Protocol):
    """A queue of events, in the order in which they were appended.

    `appended` and `taken` are the numbers of events appended and taken since the queue was opened.
    """

    appended: int
    taken: int

    def append(self, event: Event) -> None:
        """Append one event; raises BufferFull."""

    def take(self, most: int, size: int) -> Batch:
        """Take the next 1 to `most` events, of at most `size` bytes together. A single event may be larger."""

    def settle(self, batch: Batch, undelivered: Sequence[Undelivered]) -> None:
        """Record that the batch is complete: its events are delivered, except `undelivered`, which were given up."""

    def abandon(self, batches: Sequence[Batch], reason: str) -> int:
        """End the client's batches: give up their events, or keep them for the next client; returns the number kept."""

    def hand_over(self) -> list[Undelivered]:
        """Return the events given up since the last call, and free their space."""

    async def sync(self, number: int) -> None:
        """Force the first `number` appended events to disk, if the queue is on disk."""

    def close(self) -> None:
        """Close all files."""


class MemoryQueue:
    """A queue in memory of at most `events` events, and at most `size` bytes.

    An event counts from `append` until it is delivered, or given up and returned by `hand_over`.
    """

    def __init__(self, events: int, size: int) -> None:
        self._most_events = events
        self._most_bytes = size
        self._waiting: deque[Event] = deque()
        self._undelivered: list[Undelivered] = []
        self._events = 0
        self._bytes = 0
        self.appended = 0
        self.taken = 0

    def append(self, event: Event) -> None:
        if self._events >= self._most_events or self._bytes + len(event.body) > self._most_bytes:
            stuck = len(self._undelivered)
            held = f", {stuck} of them given up: `flush` hands those over" if stuck else ""
            raise BufferFull(f"the buffer is full: {self._events} events, {self._bytes} bytes{held}")
        self._waiting.append(event)
        self._events += 1
        self._bytes += len(event.body)
        self.appended += 1

    def take(self, most: int, size: int) -> Batch:
        batch = Batch([], self.taken)
        while self._waiting and len(batch) < most:
            size -= len(self._waiting[0].body)
            if batch and size < 0:
                break
            batch.append(self._waiting.popleft())
        self.taken += len(batch)
        return batch

    def settle(self, batch: Batch, undelivered: Sequence[Undelivered]) -> None:
        self._events -= len(batch) - len(undelivered)
        self._bytes -= sum(len(event.body) for event in batch) - sum(len(one.body) for one in undelivered)
        self._undelivered += undelivered

    def abandon(self, batches: Sequence[Batch], reason: str) -> int:
        for batch in [*batches, list(self._waiting)]:
            self._undelivered += [Undelivered(*event, "closed", reason) for event in batch]
        self._waiting.clear()
        return 0

    def hand_over(self) -> list[Undelivered]:
        handed, self._undelivered = self._undelivered, []
        self._events -= len(handed)
        self._bytes -= sum(len(one.body) for one in handed)
        return handed

    async def sync(self, number: int) -> None:  # noqa: ARG002 - memory has no disk
        await asyncio.sleep(0)

    def close(self) -> None:
        return
