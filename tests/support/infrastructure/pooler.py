"""A pooler in front of Postgres, like PgBouncer: its clients get a process id that is not their backend's.

In session mode each client has its own session of the server. In transaction mode all share one session, which a client
has from the first message of a transaction until the server's ReadyForQuery in the idle state.
"""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final, NamedTuple

from bridge.dev.stack.ports import LOOPBACK, choose

_SSL_REQUEST: Final = 80877103
_NUMBER: Final = 671321720


class _Message(NamedTuple):
    kind: bytes
    body: bytes

    def packed(self) -> bytes:
        return self.kind + struct.pack("!i", len(self.body) + 4) + self.body


async def _read(stream: asyncio.StreamReader) -> _Message:
    kind = await stream.readexactly(1)
    (length,) = struct.unpack("!i", await stream.readexactly(4))
    return _Message(kind, await stream.readexactly(length - 4))


class Pooler:
    """Forwards to the Postgres at `upstream`; by transaction, all clients use the first client's account."""

    def __init__(self, upstream: int, *, by_transaction: bool) -> None:
        self.port = choose(asked=None, remembered=None, taken=(), purpose="a pooler")
        self._upstream = upstream
        self._by_transaction = by_transaction
        self._session: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()
        self._whose: asyncio.StreamWriter | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def serve(self, client: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one client until it disconnects."""
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            try:
                startup = await self._startup(client, writer)
                server, sending = await asyncio.open_connection(LOOPBACK, self._upstream)
                try:
                    sending.write(startup)
                    await self._authenticate(client, writer, server, sending)
                    if not self._by_transaction:
                        await self._through(client, writer, server, sending)
                        return
                    if self._session is None:
                        self._session = server, sending
                        self._tasks.append(asyncio.create_task(self._answer(server)))
                    await self._by_turns(client, writer)
                finally:
                    # A client may disconnect before it is authenticated; the shared session stays.
                    if self._session is None or self._session[1] is not sending:
                        sending.close()
            finally:
                writer.close()

    async def _startup(self, client: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
        while True:
            head = await client.readexactly(8)
            length, code = struct.unpack("!ii", head)
            body = await client.readexactly(length - 8)
            if code != _SSL_REQUEST:
                return head + body
            writer.write(b"N")

    async def _authenticate(
        self,
        client: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        sending: asyncio.StreamWriter,
    ) -> None:
        """Forward the authentication, and replace the backend's process id by the pooler's own."""
        while True:
            message = await _read(server)
            if message.kind == b"K":
                message = _Message(b"K", struct.pack("!ii", _NUMBER, 0))
            writer.write(message.packed())
            if message.kind == b"R" and message.body[:4] in (b"\x00\x00\x00\x0a", b"\x00\x00\x00\x0b"):
                sending.write((await _read(client)).packed())
            if message.kind in b"ZE":
                return

    async def _through(
        self,
        client: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server: asyncio.StreamReader,
        sending: asyncio.StreamWriter,
    ) -> None:
        pumps = [asyncio.create_task(_pump(client, sending)), asyncio.create_task(_pump(server, writer))]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)

    async def _by_turns(self, client: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert self._session is not None
        while (message := await _read(client)).kind != b"X":
            if self._whose is not writer:
                await self._turn.acquire()
                self._whose = writer
            self._session[1].write(message.packed())

    async def _answer(self, server: asyncio.StreamReader) -> None:
        """Forward each response to the client whose turn it is; the turn ends with the transaction."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                answer = await _read(server)
                assert self._whose is not None
                self._whose.write(answer.packed())
                if answer == _Message(b"Z", b"I"):
                    self._whose = None
                    self._turn.release()

    def close(self) -> None:
        """Close the shared session."""
        if self._session is not None:
            self._session[1].close()


async def _pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65536):
        target.write(data)
        await target.drain()


@asynccontextmanager
async def pooler(database_url: str, *, by_transaction: bool) -> AsyncIterator[str]:
    """Run a pooler; yield the URL of the same database through it."""
    place = database_url.rpartition("@")[2].partition("/")[0]
    middle = Pooler(int(place.rpartition(":")[2]), by_transaction=by_transaction)
    server = await asyncio.start_server(middle.serve, LOOPBACK, middle.port)
    try:
        yield database_url.replace(place, f"{LOOPBACK}:{middle.port}")
    finally:
        server.close()
        middle.close()
