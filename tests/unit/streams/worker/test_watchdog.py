"""The watchdog ends a worker with lag and no progress, and leaves one alone that waits for a service."""

import asyncio
import time
from dataclasses import dataclass

from support.wait import wait_until

from schemas.errors import InvariantViolation
from streams.worker.watchdog import Watchdog


@dataclass
class StandingLane:
    """A lane with only the fields that the watchdog reads."""

    name: str
    progressed_at: float
    waiting: bool = False


async def failures(lanes: list[StandingLane], *, until: int, budget: float = 0.2) -> list[BaseException]:
    """The watchdog's errors while it watches these lanes for a few budgets."""
    found: list[BaseException] = []
    watchdog = Watchdog(lambda: lanes, budget)  # type: ignore[arg-type, return-value]  # the three fields it reads
    task = asyncio.create_task(watchdog.watch(found.append))
    begun = time.monotonic()
    await wait_until(
        lambda: len(found) >= until and (until or time.monotonic() - begun > 2 * budget),
        budget_seconds=10,
        describe="the watchdog's word",
    )
    task.cancel()
    watchdog.close()
    return found


async def test_a_lane_without_progress_is_named() -> None:
    """The error names the lane that made no progress for longer than the budget."""
    still = StandingLane("raw-1", time.monotonic() - 1)

    found = await failures([StandingLane("raw-0", time.monotonic() + 60), still], until=1)

    assert [InvariantViolation] == [type(one) for one in found]
    assert "raw-1" in str(found[0])


async def test_an_outage_is_no_standstill() -> None:
    """A lane that waits in place for a service is left alone, for any length of time."""
    assert await failures([StandingLane("raw-0", time.monotonic() - 1, waiting=True)], until=0) == []
