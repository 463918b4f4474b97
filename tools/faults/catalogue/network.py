"""Faults of the links between workers and servers, by the proxy: late, slow, cut, reset, stalled, gone unheard."""

import asyncio
from contextlib import suppress

from support.wait import wait_until

from tools.faults.catalogue.base import Fault
from tools.faults.proxy import Proxy


class _OnLink(Fault):
    """To be made for one of the two links."""

    link: str

    @property
    def proxy(self) -> Proxy:
        return self.world.kafka_link if self.link == "kafka" else self.world.postgres_link

    async def links(self) -> None:
        """Waits for connections to strike at: the server itself may just be away."""
        with suppress(AssertionError):
            await wait_until(lambda: self.proxy.links, budget_seconds=30, describe="a connection")


class Late(_OnLink):
    """Every chunk is 50 to 250 ms late, both ways."""

    name = "late"
    seconds = (3.0, 8.0)

    async def strike(self) -> None:
        await self.links()
        self.proxy.latency = 0.05 + self.aim % 200 / 1000
        self.bites = self.proxy.links

    async def mend(self) -> None:
        self.proxy.latency = 0.0


class Slow(_OnLink):
    """Each connection passes 100 kB a second, both ways."""

    name = "slow"
    seconds = (3.0, 8.0)

    async def strike(self) -> None:
        await self.links()
        self.proxy.bytes_per_second = 100_000
        self.bites = self.proxy.links

    async def mend(self) -> None:
        self.proxy.bytes_per_second = None


class Cut(_OnLink):
    """All connections are closed and new ones refused, until the end."""

    name = "cut"
    seconds = (1.0, 7.0)

    async def strike(self) -> None:
        await self.links()
        self.bites = self.proxy.cut()

    async def mend(self) -> None:
        self.proxy.refusing = False


class Reset(_OnLink):
    """All connections are reset, twice a second."""

    name = "reset"
    seconds = (1.0, 4.0)

    async def strike(self) -> None:
        await self.links()
        for _ in range(round(self.seconds_long * 2)):
            self.bites += self.proxy.reset()
            await asyncio.sleep(0.5)


class Stalled(_OnLink):
    """Not a byte passes and no connection ends; what was held back goes on at the end, as when a parted network heals."""

    name = "stalled"
    seconds = (2.0, 9.0)

    async def strike(self) -> None:
        await self.links()
        self.bites = self.proxy.stall()

    async def mend(self) -> None:
        self.proxy.flow()


class HalfOpen(_OnLink):
    """The servers' ends of all connections vanish and the workers never hear of it; new connections are sound."""

    name = "half-open"
    seconds = (1.0, 2.0)
    # Only a time-out tells: a minute and more.
    quick = False

    async def strike(self) -> None:
        await self.links()
        self.bites = self.proxy.half_open()


class CommitUnanswered(Fault):
    """Postgres commits, and the connection is reset before the worker hears of it; three times."""

    name = "commit-unanswered"
    occupies = frozenset({"postgres-link"})
    seconds = (2.0, 5.0)

    async def strike(self) -> None:
        proxy = self.world.postgres_link
        before = proxy.commits_lost
        proxy.commits_to_lose = 3
        with suppress(AssertionError):
            # Another fault may be holding everything up.
            await wait_until(lambda: proxy.commits_lost >= before + 3, budget_seconds=30, describe="three lost answers")
        self.bites = proxy.commits_lost - before

    async def mend(self) -> None:
        self.world.postgres_link.commits_to_lose = 0


def _on(link: str, fault: type[_OnLink]) -> type[Fault]:
    """The fault on one link, with a name of its own."""
    own = {"__doc__": f"{fault.__doc__} ({link}'s link)", "name": f"{link}-{fault.name}", "link": link}
    return type(f"{link.title()}{fault.__name__}", (fault,), own | {"occupies": frozenset({f"{link}-link"})})


ON_LINKS = [_on(link, fault) for link in ("kafka", "postgres") for fault in (Late, Slow, Cut, Reset, Stalled, HalfOpen)]
FAULTS = [*ON_LINKS, CommitUnanswered]
