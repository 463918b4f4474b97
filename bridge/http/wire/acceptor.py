"""Accepting connections: a few in each iteration of the event loop, one of each client address in turn."""

import asyncio
import errno
import itertools
import os
import socket
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Final

from bridge.http.wire.intake import Intake

_SHARE: Final = 0.25
"""The share of the time in which connections are accepted from the listener, and of the processor time for opening them.

A flood that is faster fills the listener's queue, in which all addresses wait together, and then the kernel drops the
requests of all to connect. So connections are accepted for a share of the time that has passed, spent in processor time:
a process that waits for a processor accepts no less. They are opened for a share of the processor time that the process
had, because a share of the passed time would be most of what a process gets beside other programs. A constant time in
each iteration would not do: iterations are long where a flood of requests fills them. While bytes of open connections
wait, only a few are opened in each iteration, so that a process that gets little time serves open connections first.
"""
_MOST_SECONDS: Final = 0.01
_LEAST_ACCEPTED: Final = 16
_LEAST_OPENED: Final = 3
_OPEN_SECONDS: Final = 0.00015
"""Seconds in which a connection is opened, with a transport and a protocol: ten times as long as accepting it takes."""
_MOST_WAITING: Final = 2048
Peer = tuple[str, int]
_OUT_OF_FILES: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_PAUSE_SECONDS: Final = 1.0


def _share_of(seconds: float) -> float:
    return min(_MOST_SECONDS, _SHARE * seconds)


class Acceptor:
    """Accepts the connections of a listening socket, like `loop.create_server`.

    uvloop's own server accepts the whole backlog in one iteration of the event loop, which takes seconds during a
    burst. Here client addresses take turns: a new connection waits for one connection of each other address, even if
    another address has opened thousands.

    `address_of` returns the client address of a peer, or "" for a proxy. If an address has filled its share of the
    queue, or `is_over` its rate of requests, its further connections are closed, and `refused` is called with their number.
    The time of opening is deducted from the time for requests in `intake`.
    """

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[], asyncio.BaseProtocol],
        address_of: Callable[[Peer], str],
        refused: Callable[[int], None],
        is_over: Callable[[str], bool],
        intake: Intake,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._protocol = protocol
        self._address_of = address_of
        self._refused = refused
        self._is_over = is_over
        self._intake = intake
        self._queues: OrderedDict[str, deque[int]] = OrderedDict()
        """The file descriptors of the connections that wait to be opened, by client address."""
        self._waiting = self._closed = 0
        self._accepted_at = time.monotonic()
        self._opened_at = time.thread_time()
        self._opening: set[asyncio.Task[object]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._listen()

    def close(self) -> None:
        """Stop accepting connections, and close those that wait in the queue."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener)
        for queue in self._queues.values():
            for accepted in queue:
                os.close(accepted)
        self._queues.clear()
        self._waiting = 0

    async def wait_closed(self) -> None:
        """Wait until the connections in progress are opened."""
        await asyncio.gather(*self._opening, return_exceptions=True)

    def _listen(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        """Take connections from the listening socket for a share of the time, and queue each for its client address."""
        began = time.monotonic()
        self._take_until(time.thread_time() + _share_of(began - self._accepted_at))
        self._accepted_at = time.monotonic()
        if self._closed:
            self._refused(self._closed)
            self._closed = 0

    def _take_until(self, ends: float) -> None:
        for count in itertools.count():
            if count and count % _LEAST_ACCEPTED == 0 and time.thread_time() >= ends:
                return
            try:
                # This is what `accept` calls. No public way returns only the descriptor. An object makes a connection
                # that is closed unopened cost 0.007 ms instead of 0.004 ms.
                accepted, peer = self._listener._accept()  # type: ignore[attr-defined]  # noqa: SLF001  # see above
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _OUT_OF_FILES:
                    raise
                self._rest()
                return
            self._queue(accepted, self._address_of(peer))
            if self._waiting == _MOST_WAITING:
                self._loop.remove_reader(self._listener)
                return

    def _rest(self) -> None:
        """Stop accepting for a second, because no file descriptor is left. Connections that end meanwhile free some."""
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(_PAUSE_SECONDS, self._listen)

    def _queue(self, accepted: int, address: str) -> None:
        queue = self._queues.get(address, ())
        # One address can fill half of the queue, two addresses a third each, so there is room for another address.
        is_full = len(queue) >= _MOST_WAITING // (1 + len(self._queues))
        # A connection that is closed here costs a tenth of one that is opened.
        if address and (self._is_over(address) or (queue and is_full)):
            os.close(accepted)
            self._closed += 1
            return
        if not self._waiting:
            self._opened_at = time.thread_time()
            self._loop.call_soon(self._open_some)
        self._waiting += 1
        self._queues.setdefault(address, deque()).append(accepted)

    def _open_some(self) -> None:
        """Open one connection of each of the next addresses."""
        if self._waiting == _MOST_WAITING:
            self._listen()
        now = time.thread_time()
        share = 0 if self._intake.is_behind else int(_share_of(now - self._opened_at) / _OPEN_SECONDS)
        most = max(_LEAST_OPENED, share)
        count = min(most, self._waiting)
        self._opened_at = now
        self._intake.spend(count * _OPEN_SECONDS)
        for _ in range(count):
            address, queue = self._queues.popitem(last=False)
            opening = self._loop.create_task(self._open(self._socket(queue.popleft())))
            self._opening.add(opening)
            opening.add_done_callback(self._opening.discard)
            self._waiting -= 1
            if queue:
                self._queues[address] = queue
        if self._waiting:
            self._loop.call_soon(self._open_some)

    def _socket(self, accepted: int) -> socket.socket:
        listener = self._listener
        made = socket.socket(listener.family, listener.type, listener.proto, fileno=accepted)
        made.setblocking(False)
        return made

    async def _open(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, accepted)
        except OSError:
            # The client has disconnected.
            accepted.close()
