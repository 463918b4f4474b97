"""Connections to Postgres that never send the password to a server that has not authenticated itself.

While Postgres is away, another process may take its port. It can ask the client for the password in clear text, or for
an MD5 digest, which is as good as the password. Two methods are safe:
- SCRAM reveals nothing about the password, and authenticates the server too.
- A verified certificate authenticates the server before the login.

asyncpg answers every request for the password, and has no setting against it (libpq has require_auth). This module
therefore checks the server's messages before asyncpg gets them. asyncpg also computes as many SCRAM iterations as the
server asks for, see `sinks.scram`.
"""

import asyncio
import ssl
from typing import Any, Final

import asyncpg
from asyncpg import protocol

from sinks.postgres.row_values import hide_row_values
from sinks.scram import problem_of

_OK, _CLEAR_TEXT, _MD5, _SASL, _SASL_CONTINUE, _SASL_FINAL = 0, 3, 5, 10, 11, 12
_TELLING: Final = {_CLEAR_TEXT: "in clear text", _MD5: "as an MD5 digest"}
_HEAD = 5
_STATUS = 4
_READY: Final = b"Z"
_BEFORE_READY: Final = (b"R", b"S", b"K", b"E", b"N", b"v", _READY)
"""The kinds of messages that a server sends before it is ready. asyncpg answers requests until then, even after the
login."""
_MOST: Final = 64 * 1024
"""The most bytes that a server may send before it is ready.

About two thousand are usual, and asyncpg buffers all of them.
"""

_proved: set[tuple[object, str]] = set()
"""Servers and accounts that have been authenticated in this process.

If a later connection has no proof, the server is a different one.
"""


class ServerUnproven(asyncpg.InterfaceError):  # type: ignore[misc]  # asyncpg's class is untyped
    """A server asks for the password or a digest of it, and has not authenticated itself to this client."""


class _Proving(protocol.Protocol):  # type: ignore[misc]  # asyncpg's class is untyped
    """A network protocol that checks each message of a Postgres server before asyncpg gets it, until login is over."""

    def __init__(self, addr: Any, connected: asyncio.Future[Any], params: Any, *rest: Any) -> None:
        super().__init__(addr, connected, params, *rest)
        self._place = (addr, params.user)
        self._connected = connected
        self._transport: asyncio.Transport | None = None
        self._unseen = bytearray()
        self._taken = 0
        self._seen: set[int] = set()
        self._ready = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._ready or self._certified():
            self._ready = True
            super().data_received(data)
            return
        self._unseen += data
        self._taken += len(data)
        whole, problem = self._look()
        if problem is None and not self._ready and self._taken > _MOST:
            problem = "before it is ready, the server sends more than any Postgres does: check the address"
        if problem is not None:
            self._refuse(problem)
            return
        if whole:
            super().data_received(whole)
        if self._ready and self._auth_received and _SASL_FINAL in self._seen:
            # asyncpg has verified the server's signature.
            _proved.add(self._place)

    def _refuse(self, problem: str) -> None:
        if not self._connected.done():
            self._connected.set_exception(ServerUnproven(problem))
        if self._transport is not None:
            self._transport.abort()

    def _certified(self) -> bool:
        tls = None if self._transport is None else self._transport.get_extra_info("ssl_object")
        return tls is not None and tls.context.verify_mode == ssl.CERT_REQUIRED

    def _look(self) -> tuple[bytes, str | None]:
        """Return the complete messages received so far, and the problem of the first unsafe message, or None.

        Once the login is complete, all received bytes are returned unchecked.
        """
        whole, unseen = 0, self._unseen
        while not self._ready and len(unseen) - whole >= _HEAD:
            kind, length = bytes(unseen[whole : whole + 1]), int.from_bytes(unseen[whole + 1 : whole + _HEAD])
            if kind not in _BEFORE_READY or not _HEAD - 1 <= length <= _MOST:
                return b"", "before it is ready, the server sends a message that no Postgres sends: check the address"
            end = whole + 1 + length
            if len(unseen) < end:
                break
            if kind == b"R":
                said = bytes(unseen[whole + _HEAD : end])
                status = int.from_bytes(said[:_STATUS])
                if (problem := self._problem(status, said[_STATUS:])) is not None:
                    return b"", problem
                self._seen.add(status)
            whole, self._ready = end, kind == _READY
        passed = bytes(unseen if self._ready else unseen[:whole])
        del unseen[: len(passed)]
        return passed, None

    def _problem(self, status: int, said: bytes) -> str | None:
        if _OK in self._seen:
            return "the server asks for a secret again after the login, which no Postgres does: check the address"
        if status == _SASL_CONTINUE:
            # The client would compute the iterations for each such message.
            if status in self._seen:
                return "the server asks again for SCRAM, which no Postgres does: check the address"
            return problem_of(said)
        if status in _TELLING:
            return (
                f"the server asks for the password {_TELLING[status]} and does not prove its identity: nothing was "
                "sent; give the account a SCRAM-SHA-256 password and set scram-sha-256 in pg_hba.conf (at a pooler: in its list of "
                "accounts), or add sslmode=verify-full and sslrootcert to the URL"
            )
        demanded = _SASL in self._seen or self._place in _proved
        if status == _OK and demanded and _SASL_FINAL not in self._seen:
            return (
                "the server has not proven its identity by SCRAM-SHA-256, although an earlier connection's server did: check "
                "that the address is the server's; if it is, start this program again"
            )
        return None


protocol.Protocol = _Proving
hide_row_values()


async def connect(*where: Any, **options: Any) -> asyncpg.Connection:
    """Connect like `asyncpg.connect`; also raise ServerUnproven."""
    return await asyncpg.connect(*where, **options)
