"""No password goes to an unproven server, for every request that it makes."""

import ssl
import struct
from pathlib import Path

import asyncpg
import pytest
from support.infrastructure.false_postgres import CLEAR_TEXT, MD5, OK, READY, FalsePostgres, asking
from support.infrastructure.tls import certificates

from schemas.errors import SinkUnavailable
from sinks.postgres import server_proof
from sinks.postgres.connection import connect

PASSWORD = "only the real server knows it"


def url(server: FalsePostgres, user: str = "worker", options: str = "") -> str:
    return f"postgresql://{user}:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{server.port}/ghostlink{options}"


@pytest.mark.parametrize("piecemeal", [False, True], ids=["at-once", "by-bytes"])
@pytest.mark.parametrize(("way", "named"), [("clear", "in clear text"), ("md5", "as an MD5 digest")])
@pytest.mark.parametrize("options", ["", "?sslmode=disable"], ids=["prefer", "disable"])
async def test_server_proof_keeps_the_password_from_whoever_asks(
    way: str, named: str, options: str, piecemeal: bool
) -> None:
    server = FalsePostgres(way)
    server.piecemeal = piecemeal
    async with server.running():
        with pytest.raises(SinkUnavailable, match=rf"{named}.* nothing was sent.*SCRAM-SHA-256.*sslmode=verify-full"):
            await connect(url(server, options=options), "test")
    assert server.sent == []


CLEAR = asking(CLEAR_TEXT)
UNKNOWN = b"x" + struct.pack("!I", 0xFFFFFFFF)


@pytest.mark.parametrize("piecemeal", [False, True], ids=["at-once", "by-bytes"])
@pytest.mark.parametrize(
    "said",
    [
        asking(OK) + CLEAR,
        asking(OK) + asking(MD5, b"salt"),
        READY[: len(asking(OK))] + READY[len(asking(OK)) : -6] + CLEAR,
        UNKNOWN + CLEAR,
        b"N" + struct.pack("!I", 0xFFFFFFFF) + CLEAR,
        b"N" + struct.pack("!I", 0) + CLEAR,
        b"N" + struct.pack("!I", 2**31 - 1) + CLEAR,
        b"R" + struct.pack("!I", 4) + CLEAR,
        b"D" + struct.pack("!I", 4) + CLEAR,
    ],
    ids=["after-ok", "digest-after-ok", "after-settings", "unknown", "negative", "zero", "huge", "empty", "data"],
)
async def test_server_proof_passes_on_nothing_that_it_does_not_understand(said: bytes, piecemeal: bool) -> None:
    """asyncpg could read such a message differently and answer it."""
    server = FalsePostgres("odd")
    server.odd, server.piecemeal = said, piecemeal
    async with server.running():
        with pytest.raises(SinkUnavailable):
            await connect(url(server), "test")
    assert server.sent == []


async def test_server_proof_keeps_no_endless_talk() -> None:
    """asyncpg stores each setting that any server sends."""
    server = FalsePostgres("odd")
    settings = (f"setting{place}\0".encode() + b"x" * 1000 + b"\0" for place in range(200))
    server.odd = asking(OK) + b"".join(b"S" + struct.pack("!I", 4 + len(said)) + said for said in settings)
    async with server.running():
        with pytest.raises(SinkUnavailable, match="before it is ready, the server sends more than any Postgres does"):
            await connect(url(server), "test")


async def test_server_proof_is_demanded_to_the_end() -> None:
    """A server that takes the client's proof and gives none is refused before a statement."""
    async with FalsePostgres("unproven", PASSWORD).running() as server:
        with pytest.raises(SinkUnavailable, match="has not proven its identity by SCRAM-SHA-256"):
            await connect(url(server), "test")
    assert len(server.sent) == 2


async def test_server_proof_is_demanded_of_a_server_that_gave_it_before() -> None:
    """Another server on the same port that asks for no password is refused."""
    async with FalsePostgres("scram", PASSWORD).running() as server:
        await _meet(url(server))
        server.way = "trust"
        server.sent.clear()
        with pytest.raises(SinkUnavailable, match="has not proven its identity by SCRAM-SHA-256"):
            await connect(url(server), "test")
        assert server.sent == []
        # An account that this server never asked for a proof expects none.
        await _meet(url(server, user="another"))


STRANGE = [
    b"r=%(nonce)bserver,s=%(salt)b,i=2147483647",
    b"r=%(nonce)bserver,s=%(salt)b,i=100001",
    b"r=%(nonce)bserver,s=%(salt)b,i=4096,i=2000000000",
    b"r=%(nonce)bserver,s=%(salt)b,i=4096,x=,i=2000000000",
    b"r=%(nonce)bserver,s=%(salt)b",
    b"r=%(nonce)bserver,s=%(salt)b,i=",
    b"r=%(nonce)bserver,s=%(salt)b,i=0",
    b"r=%(nonce)bserver,s=%(salt)b,i=4_096",
    b"r=%(nonce)bserver,s=%(salt)b,i=-1",
    b"r=%(nonce)bserver,s=%(salt)b,i=" + b"9" * 600,
    b"r=%(nonce)bserver,s=%(salt)b" + b"A" * 1024 + b",i=4096",
    b"r=%(nonce)bserver" + b"x" * 1024 + b",s=%(salt)b,i=4096",
    b"",
]
"""First SCRAM messages that no real server sends."""


@pytest.mark.parametrize("first", STRANGE, ids=range(len(STRANGE)))
async def test_server_proof_computes_nothing_that_no_server_asks_for(first: bytes) -> None:
    """asyncpg would compute two billion rounds in one step and block the process."""
    server = FalsePostgres("scram", PASSWORD)
    server.first = first
    async with server.running():
        with pytest.raises(SinkUnavailable, match="nothing was computed"):
            await connect(url(server), "test")
    # The account's name and a nonce, in reply to the SCRAM request.
    assert len(server.sent) == 1


async def test_server_proof_computes_once() -> None:
    """A thousand requests in one packet would cost a thousand times the rounds."""
    server = FalsePostgres("scram", PASSWORD)
    server.firsts = 2
    async with server.running():
        with pytest.raises(SinkUnavailable, match="asks again for SCRAM"):
            await connect(url(server), "test")
    assert len(server.sent) == 1


async def test_server_proof_takes_the_rounds_that_an_administrator_may_set() -> None:
    """Postgres' `scram_iterations` is accepted up to a limit."""
    server = FalsePostgres("scram", PASSWORD)
    server.rounds = 100_000
    async with server.running():
        await _meet(url(server, user="slow"))


async def test_server_proof_by_a_certificate_suffices(tmp_path: Path) -> None:
    """Behind a verified certificate any request is allowed, behind an unknown one none."""
    made = certificates(tmp_path)
    server = FalsePostgres("clear")
    server.tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.tls.load_cert_chain(made.certificate, made.key)
    async with server.running():
        with pytest.raises(SinkUnavailable, match="nothing was sent"):
            await connect(url(server, options="?sslmode=require"), "test")
        assert server.sent == []
        await _meet(url(server, options=f"?sslmode=verify-full&sslrootcert={made.authority}"))
    assert PASSWORD.encode() in server.sent[0]


async def _meet(address: str) -> None:
    """Connect until the first statement, which the false server never answers."""
    opened: asyncpg.Connection = await server_proof.connect(address, timeout=10)
    opened.terminate()
