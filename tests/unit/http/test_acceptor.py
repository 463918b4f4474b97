"""Accepting connections: how many in one iteration of the event loop, and in which order."""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import Callable
from operator import itemgetter
from typing import ClassVar

import pytest
from support.wait import wait_until

from bridge.http.server import listening_socket
from bridge.http.wire.acceptor import Acceptor, Peer
from bridge.http.wire.intake import SLICE_SECONDS, Intake

MANY = 60
AT_ONCE = 3
FLOODING = "127.0.0.2"


class Counted(asyncio.Protocol):
    """A connection that greets and counts itself."""

    made = 0
    peers: ClassVar[list[str]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        type(self).made += 1
        self.peers.append(transport.get_extra_info("peername")[0])
        transport.write(b"hello")
        transport.close()


@pytest.fixture(autouse=True)
def _nothing_made() -> None:
    Counted.made = 0
    Counted.peers.clear()


class Clock:
    """A clock that only the test advances: iterations of the loop take no time otherwise.

    `waited` is time in which the process had no processor.
    """

    now = 5.0
    waited = 0.0

    def monotonic(self) -> float:
        return self.now + self.waited

    def thread_time(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("bridge.http.wire.acceptor.time", made)
    return made


@pytest.fixture
def refused() -> list[bool]:
    """One item for each connection that was closed instead of being opened."""
    return []


def accepting(
    bound: socket.socket,
    refused: list[bool],
    address: Callable[[Peer], str] = itemgetter(0),
    over: str = "",
    intake: Intake | None = None,
) -> Acceptor:
    """Accept connections; those of the address `over` are over their rate of requests."""
    return Acceptor(
        bound,
        Counted,
        address,
        lambda count: refused.extend([True] * count),
        lambda one: bool(over) and one == over,
        intake or Intake(),
    )


def connected(bound: socket.socket, count: int, source: str = "127.0.0.1") -> list[socket.socket]:
    return [socket.create_connection(bound.getsockname(), 20, (source, 0)) for _ in range(count)]


async def closed(acceptor: Acceptor, clients: list[socket.socket]) -> None:
    acceptor.close()
    await acceptor.wait_closed()
    for client in clients:
        client.close()


async def test_a_burst_of_connections_is_accepted_over_many_iterations(refused: list[bool]) -> None:
    """All connections are accepted and served."""
    with listening_socket("127.0.0.1", 0) as bound:
        clients = connected(bound, MANY)
        acceptor, most, before = accepting(bound, refused), 0, 0
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


@pytest.mark.parametrize(("seconds", "least"), [(0.012, 15), (1.0, 60)], ids=["long", "longest"])
async def test_after_a_long_iteration_more_connections_are_accepted_and_opened(
    refused: list[bool], clock: Clock, seconds: float, least: int
) -> None:
    """It takes a share of the time, so that a flood of requests does not keep new connections waiting in the kernel."""
    with listening_socket("127.0.0.1", 0) as bound:
        clients = connected(bound, 200)
        acceptor, most = accepting(bound, refused), 0
        while Counted.made < 200:
            before = Counted.made
            clock.now += seconds
            await asyncio.sleep(0)
            most = max(most, Counted.made - before)
        await closed(acceptor, clients)

    assert least <= most <= 70


async def test_a_process_that_waits_for_a_processor_opens_no_more_connections(
    refused: list[bool], clock: Clock
) -> None:
    """They would take most of the processor time that it gets beside other programs."""
    with listening_socket("127.0.0.1", 0) as bound:
        clients = connected(bound, 100)
        acceptor, most = accepting(bound, refused), 0
        while Counted.made < 100:
            before = Counted.made
            clock.waited += 1.0
            await asyncio.sleep(0)
            most = max(most, Counted.made - before)
        await closed(acceptor, clients)

    assert most <= AT_ONCE


class Behind(Intake):
    """The time for requests, with bytes of open connections that wait for the next iteration."""

    is_behind = True


async def test_while_open_connections_wait_few_are_opened(refused: list[bool], clock: Clock) -> None:
    """A process that gets little time of a processor serves open connections first."""
    with listening_socket("127.0.0.1", 0) as bound:
        clients = connected(bound, 100)
        acceptor, most = accepting(bound, refused, intake=Behind()), 0
        while Counted.made < 100:
            before = Counted.made
            clock.now += 1.0
            await asyncio.sleep(0)
            most = max(most, Counted.made - before)
        await closed(acceptor, clients)

    assert most <= AT_ONCE


async def test_opened_connections_leave_requests_half_of_their_time(refused: list[bool], clock: Clock) -> None:
    """The time of opening is deducted from that of requests, within this limit."""
    intake, left = Intake(), []
    with listening_socket("127.0.0.1", 0) as bound:
        clients = connected(bound, 100)
        acceptor = accepting(bound, refused, intake=intake)
        while Counted.made < 100:
            left.append(intake.left)
            clock.now += 0.001
            await asyncio.sleep(0)
        await closed(acceptor, clients)

    assert any(0 < one < SLICE_SECONDS for one in left)
    assert min(left) == -SLICE_SECONDS / 2


class Preempted(socket.socket):
    """A listener of a process that waits for a processor at each connection that it accepts."""

    clock: Clock

    def _accept(self) -> tuple[int, object]:
        self.clock.waited += 0.1
        return super()._accept()


async def test_a_process_that_waits_for_a_processor_accepts_no_fewer_connections(
    refused: list[bool], clock: Clock
) -> None:
    """The kernel drops the requests of all to connect if the listener's queue is full."""
    with Preempted(fileno=listening_socket("127.0.0.1", 0).detach()) as bound:
        bound.clock = clock
        clients = connected(bound, 100)
        acceptor = accepting(bound, refused)
        clock.now += 1.0
        for _ in range(1000):
            await asyncio.sleep(0)
            if acceptor._waiting or Counted.made:
                break
        taken = acceptor._waiting + Counted.made
        await closed(acceptor, clients)

    assert taken == 100


class Full(socket.socket):
    """A listener of a process that has no file descriptors left, at first."""

    asked = 0

    def _accept(self) -> tuple[int, object]:
        self.asked += 1
        if self.asked == 1:
            raise OSError(errno.EMFILE, "too many open files")
        return super()._accept()


async def test_without_free_files_it_accepts_after_a_while(
    refused: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop does not spin meanwhile, and the connection is not lost."""
    monkeypatch.setattr("bridge.http.wire.acceptor._PAUSE_SECONDS", 0.05)
    with Full(fileno=listening_socket("127.0.0.1", 0).detach()) as bound:
        with socket.create_connection(bound.getsockname(), 20):
            acceptor = accepting(bound, refused)
            for _ in range(20):
                await asyncio.sleep(0)
            assert bound.asked == 1
            await wait_until(lambda: Counted.made == 1, budget_seconds=10, describe="the connection to be accepted")
        acceptor.close()
        await acceptor.wait_closed()


async def test_a_new_connection_waits_for_one_of_each_other_address(refused: list[bool]) -> None:
    """It is behind the flood in the listener's queue, which is one for all."""
    with listening_socket("127.0.0.1", 0) as bound:
        clients = connected(bound, 400, FLOODING) + connected(bound, 1)
        acceptor = accepting(bound, refused)
        await wait_until(lambda: len(Counted.peers) == 401, budget_seconds=20, describe="all to be opened")
        await closed(acceptor, clients)

    assert Counted.peers.index("127.0.0.1") < 200
    assert not refused


async def test_connections_of_an_address_over_its_rate_are_closed_unopened(refused: list[bool]) -> None:
    with listening_socket("127.0.0.1", 0) as bound:
        clients = connected(bound, 20, FLOODING) + connected(bound, 3)
        acceptor = accepting(bound, refused, over=FLOODING)
        await wait_until(lambda: len(Counted.peers) + len(refused) == 23, budget_seconds=20, describe="all")
        await closed(acceptor, clients)

    assert Counted.peers == ["127.0.0.1"] * 3
    assert len(refused) == 20


async def test_a_connection_that_is_closed_unopened_costs_no_object(
    refused: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood of such connections is as cheap as the kernel lets it be."""
    made: list[socket.socket] = []
    make = socket.socket.__init__
    with listening_socket("127.0.0.1", 0) as bound:
        clients = connected(bound, 20, FLOODING)
        monkeypatch.setattr(
            socket.socket, "__init__", lambda self, *more, **named: (made.append(self), make(self, *more, **named))[1]
        )
        acceptor = accepting(bound, refused, over=FLOODING)
        await wait_until(lambda: len(refused) == 20, budget_seconds=20, describe="all to be closed")
        await closed(acceptor, clients)

    assert not made


async def test_an_opened_connection_does_not_block_and_is_not_inherited(refused: list[bool]) -> None:
    flags: list[tuple[bool, bool]] = []

    class Watched(Counted):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            descriptor = transport.get_extra_info("socket").fileno()
            flags.append((os.get_blocking(descriptor), os.get_inheritable(descriptor)))
            super().connection_made(transport)

    with listening_socket("127.0.0.1", 0) as bound:
        clients = connected(bound, 1)
        acceptor = Acceptor(bound, Watched, itemgetter(0), lambda _: None, lambda _: False, Intake())
        await wait_until(lambda: bool(flags), budget_seconds=20, describe="the connection to be opened")
        await closed(acceptor, clients)

    assert flags == [(False, False)]


async def test_a_flood_leaves_room_in_the_queue(refused: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """An address's connections beyond its share of the queue are closed and counted."""
    monkeypatch.setattr("bridge.http.wire.acceptor._MOST_WAITING", 40)
    with listening_socket("127.0.0.1", 0) as bound:
        clients = connected(bound, 100, FLOODING) + connected(bound, 1)
        acceptor = accepting(bound, refused)
        await wait_until(lambda: len(Counted.peers) + len(refused) == 101, budget_seconds=20, describe="all")
        await closed(acceptor, clients)

    assert "127.0.0.1" in Counted.peers
    assert 40 < len(refused) < 90


async def test_a_proxys_connections_all_wait(refused: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy has many clients, so its connections beyond the queue wait in the listener's."""
    monkeypatch.setattr("bridge.http.wire.acceptor._MOST_WAITING", 40)
    with listening_socket("127.0.0.1", 0) as bound:
        clients = connected(bound, 100)
        acceptor = accepting(bound, refused, lambda _: "")
        await wait_until(lambda: len(Counted.peers) == 100, budget_seconds=20, describe="all")
        await closed(acceptor, clients)

    assert not refused


async def test_connections_that_wait_are_closed_with_the_listener(refused: list[bool]) -> None:
    """A client sees the end of its connection, not a silence."""
    with listening_socket("127.0.0.1", 0) as bound:
        clients = connected(bound, 30)
        acceptor = accepting(bound, refused)
        await wait_until(lambda: bool(Counted.peers), budget_seconds=20, describe="the first to be opened")
        acceptor.close()
        await acceptor.wait_closed()

    for client in clients:
        with client:
            client.settimeout(20)
            await asyncio.to_thread(_ends, client)


def _ends(client: socket.socket) -> None:
    with contextlib.suppress(ConnectionResetError):
        while client.recv(5):
            pass
