"""Faults of the links between workers and servers, by the proxy: late, slow, cut, reset, stalled, half open."""

import asyncio
from contextlib import suppress

from support.wait import wait_until

from tools.faults.catalogue.base import Fault
from tools.faults.proxy import Proxy


class _OnLink(Fault):
    """A fault of one of the two links."""

    link: str

    @property
    def proxy(self) -> Proxy:
        return self.world.kafka_link if self.link == "kafka" else self.world.postgres_link

    async def links(self) -> None:
        """Wait until there are connections to disturb: the server may be down."""
        with suppress(AssertionError):
            await wait_until(lambda: self.proxy.links, budget_seconds=30, describe="a connection")


class Late(_OnLink):
    """Every chunk is delayed by 50 to 250 ms, in both directions."""

    name = "late"
    seconds = (3.0, 8.0)

    async def strike(self) -> None:
        await self.links()
        self.proxy.latency = 0.05 + self.aim % 200 / 1000
        self.bites = self.proxy.links

    async def mend(self) -> None:
        self.proxy.latency = 0.0


class Slow(_OnLink):
    """Each connection is limited to 100 kB a second, in both directions."""

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
    """No byte is forwarded and no connection closed; the held bytes are sent at the end, as after a partition."""

    name = "stalled"
    seconds = (2.0, 9.0)

    async def strike(self) -> None:
        await self.links()
        self.bites = self.proxy.stall()

    async def mend(self) -> None:
        self.proxy.flow()


class HalfOpen(_OnLink):
    """All connections lose their server's end without a FIN or RST to the workers; new connections work."""

    name = "half-open"
    seconds = (1.0, 2.0)
    # The workers notice it only by a time-out: a minute and more.
    quick = False

    async def strike(self) -> None:
        await self.links()
        self.bites = self.proxy.half_open()


class CommitUnanswered(Fault):
    """Postgres commits, and the connection is reset before the worker receives the response; three times."""

    name = "commit-unanswered"
    occupies = frozenset({"postgres-link"})
    seconds = (2.0, 5.0)

    async def strike(self) -> None:
        proxy = self.world.postgres_link
        before = proxy.commits_lost
        proxy.commits_to_lose = 3
        with suppress(AssertionError):
            # Another fault may be delaying all work.
            await wait_until(lambda: proxy.commits_lost >= before + 3, budget_seconds=30, describe="three lost answers")
        self.bites = proxy.commits_lost - before

    async def mend(self) -> None:
        self.world.postgres_link.commits_to_lose = 0


def _on(link: str, fault: type[_OnLink]) -> type[Fault]:
    """Make the class of this fault on one link, with its name."""
    own = {"__doc__": f"{fault.__doc__} ({link}'s link)", "name": f"{link}-{fault.name}", "link": link}
    return type(f"{link.title()}{fault.__name__}", (fault,), own | {"occupies": frozenset({f"{link}-link"})})


ON_LINKS = [_on(link, fault) for link in ("kafka", "postgres") for fault in (Late, Slow, Cut, Reset, Stalled, HalfOpen)]
FAULTS = [*ON_LINKS, CommitUnanswered]
