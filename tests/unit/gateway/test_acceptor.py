"""The number of connections that are accepted in one iteration of the event loop."""

import asyncio
import errno
import socket

import pytest
from support.wait import wait_until

from bridge.http.server import listening_socket
from bridge.http.wire.acceptor import Acceptor

MANY = 60
AT_ONCE = 8


class Counted(asyncio.Protocol):
    """A connection that greets and counts itself."""

    made = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        type(self).made += 1
        transport.write(b"hello")
        transport.close()


async def test_a_burst_of_connections_is_accepted_over_many_iterations() -> None:
    """All connections are accepted and served."""
    Counted.made = 0
    with listening_socket("127.0.0.1", 0) as bound:
        clients = [socket.create_connection(bound.getsockname(), 20) for _ in range(MANY)]
        acceptor, most, before = Acceptor(bound, Counted, None), 0, 0
        for _ in range(1000):
            await asyncio.sleep(0)
            most, before = max(most, Counted.made - before), Counted.made
            if before == MANY:
                break
        acceptor.close()
        await acceptor.wait_closed()
        assert before == MANY
        assert most <= AT_ONCE
        for client in clients:
            with client:
                assert await asyncio.to_thread(client.recv, 5) == b"hello"


class Full(socket.socket):
    """A listener of a process that has no file descriptors left, at first."""

    asked = 0

    def accept(self) -> tuple[socket.socket, object]:
        self.asked += 1
        if self.asked == 1:
            raise OSError(errno.EMFILE, "too many open files")
        return super().accept()


async def test_without_free_files_it_accepts_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loop does not spin meanwhile, and the connection is not lost."""
    monkeypatch.setattr("bridge.http.wire.acceptor._PAUSE_SECONDS", 0.05)
    Counted.made = 0
    with Full(fileno=listening_socket("127.0.0.1", 0).detach()) as bound:
        with socket.create_connection(bound.getsockname(), 20):
            acceptor = Acceptor(bound, Counted, None)
            for _ in range(20):
                await asyncio.sleep(0)
            assert bound.asked == 1
            await wait_until(lambda: Counted.made == 1, budget_seconds=10, describe="the connection to be accepted")
        acceptor.close()
        await acceptor.wait_closed()
