"""Connects to Postgres without telling the password to a server that nothing proves.

Whoever holds the port while Postgres is away can ask for the password in clear text, or as an MD5 digest, which is as
good. SCRAM tells nothing of the password and proves the server as well; a certificate that is verified proves it before.
asyncpg answers whatever it is asked and has no setting for it (libpq: require_auth), so its protocol is looked at here.
"""

import asyncio
import ssl
from typing import Any, Final

import asyncpg
from asyncpg import protocol

_OK, _CLEAR_TEXT, _MD5, _SASL, _SASL_FINAL = 0, 3, 5, 10, 12
_TELLING: Final = {_CLEAR_TEXT: "in clear text", _MD5: "as an MD5 digest"}
_HEAD = 5

_proved: set[tuple[object, str]] = set()
"""The servers, and the accounts, that a proof was given for: one that comes without it later is another server."""


class ServerUnproven(asyncpg.InterfaceError):  # type: ignore[misc]  # asyncpg's class is untyped
    """A server asks for what only the real one may have, and nothing proves that it is that one."""


class _Proving(protocol.Protocol):  # type: ignore[misc]  # asyncpg's class is untyped
    """Looks at each question of the server until it lets the account in, before asyncpg answers it."""

    def __init__(self, addr: Any, connected: asyncio.Future[Any], params: Any, *rest: Any) -> None:
        super().__init__(addr, connected, params, *rest)
        self._place = (addr, params.user)
        self._connected = connected
        self._transport: asyncio.Transport | None = None
        self._unseen = bytearray()
        self._seen: set[int] = set()

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        if self._auth_received:
            super().data_received(data)
            return
        if not self._certified():
            self._unseen += data
            if (problem := self._look()) is not None:
                self._refuse(problem)
                return
        super().data_received(data)
        if self._auth_received and _SASL_FINAL in self._seen:
            # asyncpg has compared the server's signature.
            _proved.add(self._place)

    def _refuse(self, problem: str) -> None:
        if not self._connected.done():
            self._connected.set_exception(ServerUnproven(problem))
        if self._transport is not None:
            self._transport.abort()

    def _certified(self) -> bool:
        tls = None if self._transport is None else self._transport.get_extra_info("ssl_object")
        return tls is not None and tls.context.verify_mode == ssl.CERT_REQUIRED

    def _look(self) -> str | None:
        """What is wrong with a question that has come whole; asyncpg answers none before that."""
        while len(self._unseen) >= _HEAD:
            end = 1 + int.from_bytes(self._unseen[1:_HEAD])
            if len(self._unseen) < end:
                return None
            kind, status = self._unseen[:1], int.from_bytes(self._unseen[_HEAD : _HEAD + 4])
            del self._unseen[: max(end, _HEAD)]
            if kind != b"R":
                continue
            if (problem := self._problem(status)) is not None or status == _OK:
                return problem
            self._seen.add(status)
        return None

    def _problem(self, status: int) -> str | None:
        if status in _TELLING:
            return (
                f"the server asks for the password {_TELLING[status]} and nothing proves who it is: nothing was sent; give "
                "the account a SCRAM-SHA-256 password and say scram-sha-256 in pg_hba.conf (at a pooler: in its list of "
                "accounts), or add sslmode=verify-full and sslrootcert to the URL"
            )
        demanded = _SASL in self._seen or self._place in _proved
        if status == _OK and demanded and _SASL_FINAL not in self._seen:
            return (
                "the server lets the account in and proves nothing, as the one that was asked before did by "
                "SCRAM-SHA-256: look at what listens there; if it is the server, start this program again"
            )
        return None


protocol.Protocol = _Proving


async def connect(*where: Any, **options: Any) -> asyncpg.Connection:
    """As `asyncpg.connect`; also raises ServerUnproven."""
    return await asyncpg.connect(*where, **options)
