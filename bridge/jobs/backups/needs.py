"""What jobs of backups need, and the note of the store's state in the database."""

from bridge.backups.objects import Inventory, inventory
from bridge.jobs.run import Run, S
from schemas.config.service import Service
from schemas.config.settings import Settings
from schemas.errors import BridgeError
from sinks.postgres.backups.record import note_backups
from sinks.store.port import Store
from streams.startup_checks import ready_for_backups


async def postgres_alone(settings: Settings, service: Service, _look_only: bool) -> None:
    """Wait for Postgres, whatever the version of its schema."""
    await ready_for_backups(settings, service)


async def note_store(run: Run[S], settings: Settings, store: Store) -> Inventory:
    """Bring the table of backups to the state of the store, and return that state.

    A failure to note it is a warning: the store is what counts. The table is missing before migration 0038.
    """
    found = await inventory(store)
    for line in found.damaged:
        run.warn(line)
    if run.dry_run:
        return found
    checks = [one.check for one in found.backups if one.check is not None]
    try:
        await note_backups(settings.dsn, store.address, [one.manifest for one in found.backups], checks)
    except BridgeError as error:
        run.warn(f"the backups are not noted in the database: {error}; run `bridge db migrate`")
    return found
