"""The choice among several hosts: concurrent connects, with the last one that answered first."""

import asyncio
import itertools

import asyncpg
import pytest

from schemas.config.addresses import Place
from sinks.postgres.failover import connect_to_one

_NUMBERS = itertools.count()


class Opened:
    """A connection to a host."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.ended = False

    def terminate(self) -> None:
        self.ended = True


class Hosts:
    """Hosts that answer, stay silent or raise."""

    def __init__(self, **doing: object) -> None:
        self.doing = doing
        self.asked: list[str] = []
        self.opened: list[Opened] = []
        self.url = f"postgresql://u@{','.join(doing)}/d{next(_NUMBERS)}"

    async def dial(self, place: Place) -> Opened:
        self.asked.append(place.host)
        doing = self.doing[place.host]
        if doing == "silent":
            await asyncio.Event().wait()
        if isinstance(doing, Exception):
            raise doing
        self.opened.append(Opened(place.host))
        return self.opened[-1]

    async def connect(self) -> str:
        opened: Opened = await connect_to_one(self.url, self.dial)
        return opened.host


@pytest.mark.parametrize("first", ["silent", ConnectionRefusedError("refused"), TimeoutError()])
async def test_the_next_host_is_used_and_asked_first_from_then_on(first: object) -> None:
    """A host that is down costs its delay once."""
    hosts = Hosts(a=first, b="answers")
    assert await hosts.connect() == "b"
    hosts.asked.clear()
    assert await hosts.connect() == "b"
    assert hosts.asked == ["b"]


async def test_a_host_that_answers_in_time_is_the_only_one_that_is_asked() -> None:
    """The second host gets no connection."""
    hosts = Hosts(a="answers", b="answers")
    assert await hosts.connect() == "a"
    assert hosts.asked == ["a"]


async def test_what_every_server_said_is_the_error() -> None:
    """If one is down, it may be the one that accepts the client, so the password may be right."""
    hosts = Hosts(a=asyncpg.InvalidPasswordError("wrong"), b=asyncpg.InvalidPasswordError("wrong"))
    with pytest.raises(asyncpg.InvalidPasswordError):
        await hosts.connect()
    hosts = Hosts(a=ConnectionRefusedError("refused"), b=asyncpg.InvalidPasswordError("wrong password"))
    with pytest.raises(ConnectionError, match="a:default port: refused; b:default port: wrong password"):
        await hosts.connect()


async def test_no_host_that_can_be_used_is_told_host_by_host() -> None:
    """Each host's error is listed."""
    hosts = Hosts(a=TimeoutError(), b=asyncpg.TargetServerAttributeNotMatched("a standby"))
    with pytest.raises(ConnectionError, match="a:default port: no answer in time; b:default port: a standby"):
        await hosts.connect()
