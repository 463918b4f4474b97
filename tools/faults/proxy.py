"""A TCP proxy of our own between workers and a server: late, slow, cut, reset, stalled, or with a peer that is gone."""

import asyncio
import socket
import struct
from contextlib import suppress

from bridge.dev.stack.ports import LOOPBACK

CHUNK = 64 * 1024
_STOP_SECONDS = 5.0
_COMMIT = b"COMMIT;\x00"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Link:
    """One client's connection, and ours to the server on its behalf."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.deaf = False
        self.swallow = False

    def close(self) -> None:
        """Ends both sides as a program that exits does."""
        self.client.close()
        self.server.close()

    def reset(self) -> None:
        """Ends both sides by RST, as a firewall or a dying host does."""
        for side in (self.client, self.server):
            with suppress(OSError, AttributeError):
                side.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            side.transport.abort()


class Proxy:
    """Listens on `port` and passes on to `upstream`, both on loopback. What ails it is set while it runs."""

    def __init__(self, port: int, upstream: int) -> None:
        self.port = port
        self._upstream = upstream
        self.latency = 0.0
        """Seconds that every chunk is late, in each direction."""
        self.bytes_per_second: float | None = None
        self.refusing = False
        self.commits_to_lose = 0
        self.commits_lost = 0
        self.refused = 0
        self.passed_bytes = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._links: set[Link] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port, limit=CHUNK)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        self.flow()
        self.reset()
        if self._tasks:
            # They end with their connections.
            await asyncio.wait(self._tasks, timeout=_STOP_SECONDS)

    @property
    def links(self) -> int:
        """How many connections are open."""
        return len(self._links)

    def cut(self) -> int:
        """Closes all connections; new ones are refused until `refusing` is False again. Says how many there were."""
        self.refusing = True
        return self._end("close")

    def reset(self) -> int:
        """Resets all connections; new ones are welcome."""
        return self._end("reset")

    def stall(self) -> int:
        """Holds every byte back until `flow`, as a network does that is parted and heals."""
        self._flowing.clear()
        return len(self._links)

    def flow(self) -> None:
        self._flowing.set()

    def half_open(self) -> int:
        """The server's side goes away and the clients never hear of it: their sockets stay open and silent."""
        gone = [link for link in self._links if not link.deaf]
        for link in gone:
            link.deaf = True
            link.server.close()
        return len(gone)

    def _end(self, how: str) -> int:
        ended = list(self._links)
        for link in ended:
            getattr(link, how)()
        return len(ended)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            if self.refusing:
                self.refused += 1
                return
            try:
                upstream = await asyncio.open_connection(LOOPBACK, self._upstream, limit=CHUNK)
            except OSError:
                return
            await self._serve(Link(writer, upstream[1]), reader, upstream[0])
        finally:
            writer.close()

    async def _serve(self, link: Link, client: asyncio.StreamReader, server: asyncio.StreamReader) -> None:
        self._links.add(link)
        up = asyncio.create_task(self._pump(link, client, link.server, upward=True))
        down = asyncio.create_task(self._pump(link, server, link.client, upward=False))
        try:
            await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            if link.deaf:
                # Its server is gone and nobody tells the client, which has to find out by itself.
                await up
        finally:
            self._links.discard(link)
            for pump in (up, down):
                pump.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
            if not link.client.transport.is_closing() or not link.server.transport.is_closing():
                link.close()

    async def _pump(
        self, link: Link, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, upward: bool
    ) -> None:
        with suppress(OSError):
            while data := await source.read(CHUNK):
                await self._flowing.wait()
                if self.latency:
                    await asyncio.sleep(self.latency)
                if self.bytes_per_second:
                    await asyncio.sleep(len(data) / self.bytes_per_second)
                if link.deaf:
                    continue
                if upward and self.commits_to_lose > 0 and _COMMIT in data:
                    self.commits_to_lose -= 1
                    link.swallow = True
                elif not upward and link.swallow:
                    # The server has committed; the client will never hear of it.
                    self.commits_lost += 1
                    link.reset()
                    return
                self.passed_bytes += len(data)
                target.write(data)
                await target.drain()
