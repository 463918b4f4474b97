"""The client of the gateway: events in, batches out, and at `flush` and `close` what could not be delivered."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, urlsplit

from bridge.client.errors import BufferFull, NotDelivered
from bridge.client.event import make_event
from bridge.client.options import Options
from bridge.client.queue import Batch, EventQueue, MemoryQueue
from bridge.client.sender import Sender
from bridge.client.spool import SpoolQueue
from schemas.errors import InvalidInput

FLUSH_SECONDS = 30.0
_SYNC_SECONDS = 1.0

log = logging.getLogger(__name__)


class BridgeClient:
    """Sends events of one script to the gateway at `url`, with an API key of `bridge script token create`.

    Events are taken at once and delivered in batches in the background, under ids given here, so that a batch that is
    sent twice counts once. All methods belong to one event loop. Use it as a context manager, or call `close`.
    """

    def __init__(self, url: str, script_id: str, api_key: str, options: Options | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise InvalidInput(f"url: {url!r} is not the gateway's address, such as https://events.example.com")
        if not script_id or not api_key.isascii() or not api_key.isprintable() or not api_key:
            raise InvalidInput("script_id and api_key must not be empty; `bridge script token create` makes a key")
        self._options = options or Options()
        address = f"{url.rstrip('/')}/api/bridge/{quote(script_id, safe='')}/events"
        self._sender = Sender(address, api_key, self._options)
        self._queue: EventQueue | None = None
        self._in_flight: dict[asyncio.Task[None], Batch] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        self._waiting_since = 0.0
        self._flush_to = 0
        self._closed = False

    async def track(self, event_type: str, properties: Mapping[str, Any] | None = None, **fields: Any) -> str:
        """Sends an event of this type; `fields` are others of the contract, such as `url`, `value` or `visitor_id`."""
        return await self.send({**fields, "event_type": event_type, "properties": properties})

    async def send(self, event: Mapping[str, Any]) -> str:
        """Takes one event, as the contract of raw events has it, and returns its id.

        Absent are filled in: `event_id`, `occurred_at` (now); site and script are the gateway's to say. Raises
        InvalidInput if it is no event, BufferFull if there is no room (or wait for it, by the options).
        """
        made = make_event(event)
        queue = self._started()
        while True:
            try:
                queue.append(made)
                break
            except BufferFull:
                # Room that only `flush` can make is not worth waiting for.
                if self._options.when_full == "error" or self._lowest_unsettled() >= queue.appended:
                    raise
            self._settled.clear()
            await self._settled.wait()
            if self._closed:
                raise InvalidInput("the client was closed while `send` waited for room: the event was not taken")
        waiting = queue.appended - queue.taken
        if waiting == 1:
            self._waiting_since = time.monotonic()
        if waiting == 1 or waiting >= self._options.batch_events:
            self._changed.set()
        if waiting >= self._options.batch_events:
            # A program that only sends would leave delivering no turn.
            await asyncio.sleep(0)
        if self._options.spool_sync == "always":
            await queue.sync(queue.appended)
        return made.event_id

    async def flush(self, timeout: float = FLUSH_SECONDS) -> None:
        """Returns when all that was taken so far is delivered; raises NotDelivered if that can't be said in time.

        What is given up is handed over with the error, once; what is not goes on being tried.
        """
        queue = self._started()
        target = self._flush_to = queue.appended
        self._changed.set()
        if self._options.spool_sync == "interval":
            await queue.sync(target)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while self._started() and self._lowest_unsettled() < target:
                    self._settled.clear()
                    await self._settled.wait()
        waiting = max(target - self._lowest_unsettled(), 0)
        undelivered = queue.hand_over()
        if waiting or undelivered:
            reason = self._sender.trouble or f"not done within {timeout:g} s"
            raise NotDelivered(undelivered, waiting=waiting, spooled=bool(self._options.spool), reason=reason)

    async def close(self, timeout: float = FLUSH_SECONDS) -> None:
        """Flushes and ends; raises NotDelivered with everything that could not be delivered, or is left in the spool."""
        if self._closed or self._queue is None:
            self._closed = True
            return
        undelivered, reason = [], ""
        try:
            await self.flush(timeout)
        except NotDelivered as error:
            undelivered, reason = list(error.undelivered), self._sender.trouble or "no answer yet"
        finally:
            self._closed = True
            await self._end()
            batches = list(self._in_flight.values())
            waiting = self._queue.abandon(batches, f"closed before it was delivered ({reason}); it may have arrived")
            undelivered += self._queue.hand_over()
            self._queue.close()
        if waiting or undelivered:
            raise NotDelivered(undelivered, waiting=waiting, spooled=bool(self._options.spool), reason=reason)

    async def __aenter__(self) -> Self:
        self._started()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            await self.close()
        except NotDelivered as lost:
            if error is None:
                raise
            # The error that ended the block is the one to be seen; this one must not take its place.
            error.add_note(f"besides, {lost}")

    def _started(self) -> EventQueue:
        """The queue; the first call opens it and starts the work on it. Raises what that work ended with, if it did."""
        if self._closed:
            raise InvalidInput("the client is closed")
        for task in self._tasks:
            if task.done():
                task.result()
        if self._queue is None:
            options = self._options
            if options.spool:
                self._queue = SpoolQueue(Path(options.spool), options.spool_bytes)
                if options.spool_sync == "interval":
                    self._tasks.append(asyncio.create_task(self._sync_often(self._queue)))
            else:
                self._queue = MemoryQueue(options.buffer_events, options.buffer_bytes)
            self._tasks.append(asyncio.create_task(self._dispatch(self._queue)))
            for task in self._tasks:
                task.add_done_callback(lambda _: self._settled.set())
        return self._queue

    def _lowest_unsettled(self) -> int:
        """The number up to which everything is delivered or given up."""
        queue = self._queue
        return min((batch.first for batch in self._in_flight.values()), default=queue.taken if queue else 0)

    async def _dispatch(self, queue: EventQueue) -> None:
        free = asyncio.Semaphore(self._options.concurrency)
        while True:
            await free.acquire()
            await self._until_due(queue)
            batch = queue.take(self._options.batch_events, self._options.batch_bytes)
            self._waiting_since = time.monotonic()
            task = asyncio.create_task(self._deliver(queue, batch, free.release))
            self._in_flight[task] = batch

    async def _until_due(self, queue: EventQueue) -> None:
        """Returns when a batch is full, its first event has lingered, or somebody flushes."""
        while True:
            self._changed.clear()
            waiting = queue.appended - queue.taken
            if waiting >= self._options.batch_events or (waiting and queue.taken < self._flush_to):
                return
            left = self._waiting_since + self._options.linger - time.monotonic() if waiting else None
            if left is not None and left <= 0:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)

    async def _deliver(self, queue: EventQueue, batch: Batch, done: Callable[[], None]) -> None:
        undelivered = await self._sender.deliver(batch) if batch else []
        queue.settle(batch, undelivered)
        task = asyncio.current_task()
        if task is not None:
            del self._in_flight[task]
        self._settled.set()
        done()

    async def _sync_often(self, queue: EventQueue) -> None:
        while True:
            await asyncio.sleep(_SYNC_SECONDS)
            await queue.sync(queue.appended)

    async def _end(self) -> None:
        tasks = [*self._tasks, *self._in_flight]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._sender.close()
        self._settled.set()
