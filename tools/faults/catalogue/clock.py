"""Faults of the workers' clock, by libfaketime: steps ahead and back. Monotonic clocks are not changed."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
from support.wait import wait_until

from tools.faults.catalogue.base import Fault
from tools.faults.world import World

_LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))), None)
_FILE = "clock"
_SEEN_SECONDS = 30.0


class _ClockStep(Fault):
    """A step of all workers' clocks; the right time is restored at the end."""

    occupies = frozenset({"clock"})
    seconds = (3.0, 8.0)
    step = 0

    @classmethod
    def unfit(cls) -> str:
        return "" if _LIBRARY else "libfaketime is not installed (Debian: apt-get install faketime)"

    @classmethod
    def environment(cls, directory: Path) -> dict[str, str]:
        (directory / _FILE).write_text("+0s\n")
        return {
            "LD_PRELOAD": str(_LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(directory / _FILE),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    async def strike(self) -> None:
        (self.world.directory / _FILE).write_text(f"{self.step:+d}s\n")
        before = await _seen(self.world, self.step)
        with suppress(AssertionError):
            # Another fault may be delaying all work.
            await wait_until(
                lambda: self._more_than(before), budget_seconds=_SEEN_SECONDS, describe="an event by the stepped clock"
            )

    async def _more_than(self, before: int) -> bool:
        self.bites = await _seen(self.world, self.step) - before + self._logged()
        return self.bites > 0

    def _logged(self) -> int:
        """Number of lines that the workers have logged by the stepped clock: there may be no event in flight."""
        now = datetime.now(UTC) + timedelta(seconds=self.step)
        minutes = [f"{now - timedelta(minutes=ago):%Y-%m-%dT%H:%M}" for ago in (0, 1)]
        return sum(self.world.fleet.logged(f'"timestamp": "{minute}') for minute in minutes)

    async def mend(self) -> None:
        (self.world.directory / _FILE).write_text("+0s\n")


class ClockAhead(_ClockStep):
    """The workers' clocks are two hours ahead."""

    name = "clock-ahead"
    step = 7200


class ClockBack(_ClockStep):
    """The workers' clocks are two hours back."""

    name = "clock-back"
    step = -7200


async def _seen(world: World, step: int) -> int:
    """Number of ledger rows with a time of the stepped clock; 0 while Postgres can't be queried."""
    try:
        async with world.session() as conn:
            seen: int = await conn.fetchval(_STEPPED, step)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        return 0
    return seen


_STEPPED = """SELECT count(*) FROM bridge_event_raw
    WHERE abs(extract(epoch FROM first_failed_at - record_time) - $1::int) < 1800"""

FAULTS = [ClockAhead, ClockBack]
