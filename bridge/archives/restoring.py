"""The restore of a month: the rows of each part that was removed come back into Postgres."""

from collections.abc import AsyncIterator

from bridge.archives.objects import Part, archived_part, directory, read_archive
from bridge.archives.reading import opened_file
from schemas.config.settings import Settings
from schemas.errors import Damaged, PreconditionFailed
from sinks.archives.digests import Values
from sinks.postgres.archives.entries import removed_parts
from sinks.postgres.archives.month import Month
from sinks.postgres.archives.restoring import restore_rows
from sinks.postgres.connection import connection
from sinks.store.port import Store


async def restorable_parts(settings: Settings, store: Store, month: Month) -> list[Part]:
    """Return the parts of a month whose rows are removed from the database.

    Raises PreconditionFailed if there is none, and Damaged if one is missing or not as it was when its rows were removed.
    """
    archive = await read_archive(store, month)
    async with connection(settings.dsn, "archive") as conn:
        removed = await removed_parts(conn, directory(month))
    if not removed:
        raise PreconditionFailed(
            f"{month}: no closing entry accounts for removed events of this month, so that there is nothing to restore; what is archived: "
            "`bridge archive list`"
        )
    parts = {one.archived_as: one for one in archive.parts}
    if missing := [one for one in removed if one not in parts]:
        raise Damaged(
            f"{month}: the store has not the archive {missing[0]} that closing entries name; nothing was restored"
            + "".join(f"; {line}" for line in archive.damaged)
        )
    return [one for one in archive.parts if one.archived_as in removed]


async def restore_part(settings: Settings, store: Store, month: Month, part: Part, run_id: str) -> int:
    """Bring the rows of a part back; return their number. After an error nothing is restored."""
    return await restore_rows(settings.dsn, month, archived_part(part), _rows(store, part), run_id)


async def _rows(store: Store, part: Part) -> AsyncIterator[list[Values]]:
    for file in part.manifest.files:
        async with opened_file(store, part.manifest, file) as batches:
            for batch in batches:
                yield batch
