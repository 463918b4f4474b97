"""A server that imitates Postgres and asks for a password by a method that the test chooses."""

import asyncio
import base64
import hashlib
import hmac
import re
import ssl
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

OK, CLEAR_TEXT, MD5, SASL, SASL_CONTINUE, SASL_FINAL = 0, 3, 5, 10, 11, 12
_SSL_REQUEST = 80877103
_SALT = b"sixteen bytes...."


def asking(kind: int, payload: bytes = b"") -> bytes:
    """Make an authentication message."""
    return b"R" + struct.pack("!II", 8 + len(payload), kind) + payload


_VERSION = b"server_version\x0018.0\0"
READY = asking(OK) + b"S" + struct.pack("!I", 4 + len(_VERSION)) + _VERSION + b"Z" + struct.pack("!Ic", 5, b"I")


class FalsePostgres:
    """Authenticates each client by `way`: "clear", "md5", "scram", "odd", "trust", or "unproven".

    "unproven" is SCRAM without the server's proof.
    """

    def __init__(self, way: str, password: str = "", port: int = 0) -> None:
        self.way, self.password = way, password
        self.sent: list[bytes] = []
        """The authentication messages of clients."""
        self.met = 0
        """Number of clients that connected."""
        self.odd = b""
        """The message of an odd server."""
        self.first = b"r=%(nonce)bserver,s=%(salt)b,i=%(rounds)d"
        """The template of SCRAM's server-first message."""
        self.rounds = 4096
        self.firsts = 1
        """Number of these messages in one packet."""
        self.piecemeal = False
        """Whether each byte of a response is a packet."""
        self.port = port
        self.tls: ssl.SSLContext | None = None
        self._talking: dict[asyncio.Task[object] | None, asyncio.StreamWriter] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FalsePostgres"]:
        """Listen on `port` of loopback."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            try:
                yield self
            finally:
                for writer in self._talking.values():
                    writer.close()
                await asyncio.gather(*(task for task in self._talking if task is not None))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.met += 1
        self._talking[asyncio.current_task()] = writer
        try:
            await self._talk(reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if _number(await _first(reader)) == _SSL_REQUEST:
            writer.write(b"S" if self.tls else b"N")
            if self.tls:
                await writer.start_tls(self.tls)
            await _first(reader)
        if self.way == "odd":
            await self._say(writer, self.odd)
            await self._hear(reader)
        elif self.way in ("clear", "md5"):
            await self._say(writer, asking(CLEAR_TEXT) if self.way == "clear" else asking(MD5, b"salt"))
            await self._hear(reader)
        elif self.way != "trust":
            await self._scram(reader, writer)
        await self._say(writer, READY)
        while True:
            await self._hear(reader)

    async def _scram(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._say(writer, asking(SASL, b"SCRAM-SHA-256\0\0"))
        bare = (await self._hear(reader)).partition(b"n,,")[2]
        nonce = re.search(rb"r=([^,]+)", bare)
        assert nonce is not None
        first = self.first % {b"nonce": nonce[1], b"salt": base64.b64encode(_SALT), b"rounds": self.rounds}
        await self._say(writer, asking(SASL_CONTINUE, first) * self.firsts)
        final = (await self._hear(reader))[5:].rpartition(b",p=")[0]
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(), _SALT, self.rounds)
        signed = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), b",".join((bare, first, final)), "sha256")
        if self.way == "scram":
            await self._say(writer, asking(SASL_FINAL, b"v=" + base64.b64encode(signed)))

    async def _say(self, writer: asyncio.StreamWriter, message: bytes) -> None:
        for piece in [message[at : at + 1] for at in range(len(message))] if self.piecemeal else [message]:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)

    async def _hear(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readexactly(5)
        message = head + await reader.readexactly(_number(head[1:]) - 4)
        if head[:1] == b"p":
            self.sent.append(message)
        return message


async def _first(reader: asyncio.StreamReader) -> bytes:
    """Read the first message of a client, which has no type; return it without its length."""
    return await reader.readexactly(_number(await reader.readexactly(4)) - 4)


def _number(given: bytes) -> int:
    return int.from_bytes(given[:4], "big")
