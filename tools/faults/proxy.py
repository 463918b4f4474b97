"""A TCP proxy between workers and a server, whose connections can be late, slow, cut, reset, stalled or half open."""

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
    """One client's connection, and the proxy's own to the server."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter) -> None:
        self.client = client
        self.server = server
        self.deaf = False
        self.swallow = False

    def close(self) -> None:
        """Close both sides by FIN, as a program that exits."""
        self.client.close()
        self.server.close()

    def reset(self) -> None:
        """Close both sides by RST, as a firewall or a crashed host."""
        for side in (self.client, self.server):
            with suppress(OSError, AttributeError):
                side.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            side.transport.abort()


class Proxy:
    """Listens on `port` and forwards to `upstream`, both on loopback. Its faults are set while it runs."""

    def __init__(self, port: int, upstream: int) -> None:
        self.port = port
        self._upstream = upstream
        self.latency = 0.0
        """Delay of every chunk in seconds, in each direction."""
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
            # The tasks end with their connections.
            await asyncio.wait(self._tasks, timeout=_STOP_SECONDS)

    @property
    def links(self) -> int:
        """Number of open connections."""
        return len(self._links)

    def cut(self) -> int:
        """Close all connections and refuse new ones until `refusing` is False; return how many were closed."""
        self.refusing = True
        return self._end("close")

    def reset(self) -> int:
        """Reset all connections without refusing new ones; return how many were reset."""
        return self._end("reset")

    def stall(self) -> int:
        """Hold every byte until `flow`, as in a network partition that heals; return the number of connections."""
        self._flowing.clear()
        return len(self._links)

    def flow(self) -> None:
        self._flowing.set()

    def half_open(self) -> int:
        """Close the server's side only: the clients' sockets stay open and silent. Return how many."""
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
                # The server's side is closed; the client gets no FIN and has to detect it by a time-out.
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
                    # The server has committed; the client never receives the response.
                    self.commits_lost += 1
                    link.reset()
                    return
                self.passed_bytes += len(data)
                target.write(data)
                await target.drain()
