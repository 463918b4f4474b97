"""Requests in a gateway's line, and a clock that only their work advances."""

import asyncio

from bridge.gateway.admission.access import Grant
from bridge.gateway.admission.rate_limits import Bill
from schemas.pipeline.registry import Script
from support.processes.lone_gateway import LoneGateway


class Clock:
    """A clock of processor time that only work advances. `waited` is time in which the process had no processor."""

    def __init__(self) -> None:
        self.now = 100.0
        self.waited = 0.0

    def monotonic(self) -> float:
        return self.now + self.waited

    def thread_time(self) -> float:
        return self.now


def bill(gateway: LoneGateway, script: str, visitor: str = "") -> Bill:
    """The bill of a request by the script's server, or by a visitor at that address."""
    grant = Grant(Script(script, 1, 1, True), "https://o.test" if visitor else None)
    return Bill(gateway.services.rate_limits, grant, visitor or "9.9.9.9")


async def settled() -> None:
    """Run the loop until every task waits."""
    for _ in range(20):
        await asyncio.sleep(0)
