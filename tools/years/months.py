"""The months of events of a simulated year: archived, verified, and restored with kills between statements."""

from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Final

from support.events.dying import Killed, dying_after

from bridge.archives.checking import verify_part
from bridge.archives.objects import directory, read_archive, write_archive_check
from bridge.archives.restoring import restorable_parts, restore_part
from bridge.archives.writing import write_part
from schemas.config.settings import Settings
from schemas.errors import InvalidInput
from schemas.pipeline.retention import RetentionKind, RetentionStep
from sinks.postgres.archives import restoring
from sinks.postgres.archives.entries import removed_parts
from sinks.postgres.archives.month import Month
from sinks.postgres.connection import Connection, connection
from sinks.postgres.removals.months import next_month
from sinks.store.opening import open_store

KILLS: Final = 5


class Months:
    """The archives of the months that a plan removes. Each month is restored once."""

    def __init__(self, settings: Settings, random: Random) -> None:
        self._settings, self._random = settings, random
        self._store = open_store(settings.store)
        self._archived: list[Month] = []
        self._restored: set[Month] = set()

    async def archive(self, conn: Connection, steps: Sequence[RetentionStep]) -> None:
        """Archive and verify the months that the plan's step of events removes."""
        for step in steps:
            position = None
            while step.kind is RetentionKind.EVENTS and (month := await next_month(conn, step.before, position)):
                position = {"month": month.begin.isoformat()}
                with suppress(InvalidInput):  # A month that was restored is archived as it is stored.
                    await write_part(self._settings, self._store, month, "years")
                removed = await removed_parts(conn, directory(month))
                for part in (await read_archive(self._store, month)).parts:
                    await write_archive_check(self._store, await verify_part(self._store, part, removed))
                self._archived.append(month)

    async def restore(self) -> list[Month]:
        """Restore the months that were removed and never restored; return them. Each restore is killed several times."""
        done = []
        for month in sorted({*self._archived} - self._restored):
            for part in await restorable_parts(self._settings, self._store, month):
                for _ in range(KILLS):
                    restoring.connection = dying_after(self._random.randrange(12))  # type: ignore[assignment]
                    with suppress(Killed):
                        await restore_part(self._settings, self._store, month, part, "years")
                        break
                else:
                    restoring.connection = connection  # type: ignore[attr-defined]
                    await restore_part(self._settings, self._store, month, part, "years")
                restoring.connection = connection  # type: ignore[attr-defined]
            self._restored.add(month)
            done.append(month)
        return done
