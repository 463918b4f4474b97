"""The client of the gateway: queues events, sends batches, and reports undelivered events at `flush` and `close`."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlsplit

from bridge.client.errors import BufferFull, NotDelivered, noted_in
from bridge.client.event import make_event
from bridge.client.options import Options
from bridge.client.queue import Batch, EventQueue, MemoryQueue
from bridge.client.sender import Sender
from bridge.client.spool import SpoolQueue
from bridge.client.state import DeliveryState
from schemas.errors import InvalidInput

FLUSH_SECONDS = 30.0
_SYNC_SECONDS = 1.0

log = logging.getLogger(__name__)


class BridgeClient:
    """Sends events of one script to the gateway at `url`, with an API key of `bridge script token create`.

    A script is a registered source of a site's events. Events are queued immediately, and delivered in batches in the
    background. The client gives each event an id, so a batch that is sent twice counts once. All methods belong to one
    event loop. Use the client as a context manager, or call `close`.
    """

    def __init__(self, url: str, script_id: str, api_key: str, options: Options | None = None) -> None:
        _check_url(url)
        if not script_id or not api_key.isascii() or not api_key.isprintable() or not api_key:
            raise InvalidInput("script_id and api_key must not be empty; `bridge script token create` creates a key")
        self._options = options or Options()
        address = f"{url.rstrip('/')}/api/bridge/{quote(script_id, safe='')}/events"
        self._sender = Sender(address, api_key, self._options)
        self._queue: EventQueue | None = None
        self._in_flight: dict[asyncio.Task[None], Batch] = {}
        self._returned: list[Batch] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()
        self._waiting_since = 0.0
        self._flush_to = 0
        self._delivered = 0
        self._given_up = 0
        self._closed = False

    @property
    def state(self) -> DeliveryState:
        """Return whether events are delivered, since when and why not, and how many are pending and delivered."""
        queue = self._queue
        pending = queue.appended - queue.taken + sum(map(len, self._out())) if queue else 0
        return DeliveryState(*self._sender.health, pending, self._delivered, self._given_up, self._sender.failures)

    async def track(self, event_type: str, properties: Mapping[str, Any] | None = None, **fields: Any) -> str:
        """Queue an event of this type, and return its id.

        `fields` are other fields of the contract, such as `url`, `value` or `visitor_id`.
        """
        return await self.send({**fields, "event_type": event_type, "properties": properties})

    async def send(self, event: Mapping[str, Any]) -> str:
        """Queue one event in the form of the raw event contract, and return its id.

        Without `event_id` or `occurred_at`, the client sets a new id and the current time. The gateway sets site and
        script. Raises InvalidInput if the event is not valid. If the buffer is full, this waits or raises BufferFull,
        depending on the option `when_full`.
        """
        made = make_event(event)
        queue = self._started()
        while True:
            try:
                queue.append(made)
                break
            except BufferFull:
                # Only `flush` can free this space, so a wait here would not end.
                if self._options.when_full == "error" or self._lowest_unsettled() >= queue.appended:
                    raise
            self._settled.clear()
            await self._settled.wait()
            if self._closed:
                raise InvalidInput("the client was closed while `send` waited for space; the event was not queued")
        waiting = queue.appended - queue.taken
        if waiting == 1:
            self._waiting_since = time.monotonic()
        if waiting == 1 or waiting >= self._options.batch_events:
            self._changed.set()
        if waiting >= self._options.batch_events:
            # Otherwise a program that only calls `send` would not let the delivery tasks run.
            await asyncio.sleep(0)
        if self._options.spool_sync == "always":
            await queue.sync(queue.appended)
        return made.event_id

    async def flush(self, timeout: float = FLUSH_SECONDS) -> None:
        """Wait until all queued events are delivered; raises NotDelivered after `timeout` seconds.

        The error contains the events that were given up since the last error. All other events are still tried again.
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
            reason = self._sender.health.reason or f"not delivered within {timeout:g} s"
            raise NotDelivered(undelivered, waiting=waiting, spooled=bool(self._options.spool), reason=reason)

    async def close(self, timeout: float = FLUSH_SECONDS) -> None:
        """Flush and close.

        Raises NotDelivered with all undelivered events. With a spool (a queue on disk), the error has the number of
        events that are left on disk.
        """
        if self._closed or self._queue is None:
            self._closed = True
            return
        undelivered, reason = [], ""
        try:
            await self.flush(timeout)
        except NotDelivered as error:
            undelivered, reason = list(error.undelivered), self._sender.health.reason or "no answer yet"
        finally:
            self._closed = True
            await self._end()
            waiting = self._queue.abandon(
                self._out(), f"the client was closed before it was delivered ({reason}); it may have arrived"
            )
            undelivered += self._queue.hand_over()
            self._queue.close()
        if waiting or undelivered:
            raise NotDelivered(undelivered, waiting=waiting, spooled=bool(self._options.spool), reason=reason)

    async def __aenter__(self) -> Self:
        self._started()
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with noted_in(error):
            await self.close()

    def _started(self) -> EventQueue:
        """Return the queue. The first call opens the queue and starts the client's background tasks.

        Raises the error that ended a background task, if one has ended.
        """
        if self._closed:
            raise InvalidInput("the client is closed")
        options = self._options
        if self._queue is None:
            if options.spool:
                self._queue = SpoolQueue(Path(options.spool), options.spool_bytes)
            else:
                self._queue = MemoryQueue(options.buffer_events, options.buffer_bytes)
        self._keep_up("dispatch", self._dispatch, self._queue)
        if options.spool and options.spool_sync == "interval":
            self._keep_up("sync", self._sync_often, self._queue)
        return self._queue

    def _keep_up(self, name: str, work: Callable[[EventQueue], Coroutine[Any, Any, None]], queue: EventQueue) -> None:
        """Start the background task `name`, or restart it if the program has cancelled it together with its own tasks.

        If an error has ended the task, raise this error.
        """
        task = self._tasks.get(name)
        if task is None or task.cancelled():
            self._tasks[name] = task = asyncio.create_task(work(queue))
            task.add_done_callback(self._work_ended)
        elif task.done():
            task.result()

    def _work_ended(self, task: asyncio.Task[None]) -> None:
        self._settled.set()
        if self._closed:
            return
        if not task.cancelled() and (error := task.exception()):
            self._sender.hold_back(error)
        elif pending := self.state.pending:
            log.warning("the client was cancelled and not closed; %d events are not delivered", pending)

    def _out(self) -> list[Batch]:
        """Return the batches taken from the queue whose events are neither delivered nor given up, the oldest first."""
        return sorted([*self._returned, *self._in_flight.values()], key=lambda batch: batch.first)

    def _lowest_unsettled(self) -> int:
        """Return the number, in order of the queue, of the first event that is neither delivered nor given up."""
        return min((batch.first for batch in self._out()), default=self._queue.taken if self._queue else 0)

    async def _dispatch(self, queue: EventQueue) -> None:
        while True:
            await self._until_due(queue)
            batch = self._returned.pop(0) if self._returned else self._taken(queue)
            task = asyncio.create_task(self._deliver(queue, batch))
            self._in_flight[task] = batch
            task.add_done_callback(self._batch_ended)

    def _taken(self, queue: EventQueue) -> Batch:
        self._waiting_since = time.monotonic()
        return queue.take(self._options.batch_events, self._options.batch_bytes)

    async def _until_due(self, queue: EventQueue) -> None:
        """Wait until a delivery slot is free and a batch is due.

        A batch is due if it is full, if it has waited for the option `linger`, if its delivery ended with an error
        before, or during a flush.
        """
        while True:
            self._changed.clear()
            left = self._due_in(queue) if len(self._in_flight) < self._options.concurrency else None
            if left is not None and left <= 0:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)

    def _due_in(self, queue: EventQueue) -> float | None:
        """Return the seconds until the next batch is due; None if no event is queued."""
        waiting = queue.appended - queue.taken
        if self._returned or waiting >= self._options.batch_events or (waiting and queue.taken < self._flush_to):
            return 0.0
        return self._waiting_since + self._options.linger - time.monotonic() if waiting else None

    async def _deliver(self, queue: EventQueue, batch: Batch) -> None:
        undelivered = await self._sender.deliver(batch) if batch else []
        queue.settle(batch, undelivered)
        self._delivered += len(batch) - len(undelivered)
        self._given_up += len(undelivered)
        if undelivered:
            lost = NotDelivered(undelivered)
            log.warning("events were given up, and the next `flush` or `close` raises an error with them: %s", lost)

    def _batch_ended(self, task: asyncio.Task[None]) -> None:
        """Free the slot of an ended delivery. If it was cancelled or raised an error, deliver the batch again."""
        batch = self._in_flight.pop(task)
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            self._returned.append(batch)
        if error is not None:
            self._sender.hold_back(error)
        self._settled.set()
        self._changed.set()

    async def _sync_often(self, queue: EventQueue) -> None:
        while True:
            await asyncio.sleep(_SYNC_SECONDS)
            await queue.sync(queue.appended)

    async def _end(self) -> None:
        tasks = [*self._tasks.values(), *self._in_flight]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._sender.close()
        self._settled.set()


def _check_url(url: str) -> None:
    """Check the URL; raises InvalidInput, whose text does not contain a password."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        known = False
    if not known or parts.query or parts.fragment:
        shown = repr(url) if "@" not in url else "it"
        raise InvalidInput(
            f"url: {shown} is not the address of a gateway; give a URL such as https://events.example.com"
        )
    if "@" in parts.netloc:
        raise InvalidInput(
            "url: leave out user and password; the gateway uses api_key, and a proxy's credentials belong into the proxy's URL"
        )
