"""The part of an archive by which retention removes a month: verified, with all its files in the store."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from bridge.archives.objects import archived_part, directory, read_archive
from schemas.config.settings import Settings
from schemas.errors import Damaged, PreconditionFailed
from schemas.pipeline.archive import ArchivedPart
from sinks.postgres.archives.entries import removed_parts
from sinks.postgres.archives.month import Month
from sinks.postgres.connection import connection
from sinks.store.opening import open_store
from streams.rules.archives import verification_problem


def verified_part(settings: Settings) -> Callable[[Month], Awaitable[ArchivedPart]]:
    """Return the function that returns the newest part of a month whose rows are stored.

    It raises PreconditionFailed if there is none, or if it was not verified within seven days, or has changed since.
    """
    store = open_store(settings.store)

    async def found(month: Month) -> ArchivedPart:
        archive = await read_archive(store, month)
        if archive.damaged:
            raise Damaged("; ".join(archive.damaged))
        async with connection(settings.dsn, "archive") as conn:
            removed = {one.partition(" ")[0] for one in await removed_parts(conn, directory(month))}
        stored = [one for one in archive.parts if one.name not in removed]
        if not stored:
            raise PreconditionFailed(
                f"{month}: {store.address} has no archive of the stored events: run `bridge archive create {month}` and "
                f"`bridge archive verify {month}`"
            )
        part = stored[-1]
        base = directory(month, part.manifest.archive_id) + "/"
        sizes = [(one.name.removeprefix(base), one.bytes) for one in part.objects]
        if (problem := verification_problem(part.manifest, part.check, sizes, datetime.now(UTC))) is not None:
            raise PreconditionFailed(f"{month}: {problem}")
        return archived_part(part)

    return found
