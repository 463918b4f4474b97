"""Who may use what a backup is restored into: no account of a service has more there than in the original database."""

from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr
from support.infrastructure.accounts import account, execute, value_of
from support.infrastructure.databases import as_admin
from support.processes.command import bridge_text

from bridge.backups.reading import restore_backup
from bridge.backups.writing import write_backup
from bridge.dev.stack import StackAddresses
from schemas.config.service import Service
from schemas.config.settings import Settings
from sinks.postgres.backups.target import scratch_database, with_database
from sinks.postgres.schema.check import check_database
from sinks.store.directory import DirectoryStore

RUN = "SELECT has_function_privilege('{role}', oid, 'EXECUTE') FROM pg_proc WHERE proname = 'discard_dead_letters'"


@pytest.fixture
def admin_url(stack: StackAddresses, database_url: str) -> str:
    """The superuser's URL, which creates the accounts."""
    return as_admin(stack, database_url)


async def test_no_service_connects_to_the_database_of_a_verification(admin_url: str) -> None:
    """A new database would give every account advisory locks, large objects and temporary tables."""
    with account(admin_url, Service.READER) as reader:
        async with scratch_database(admin_url, "test") as scratch:
            name = scratch.rsplit("/", 1)[1]

            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="CONNECT"):
                await value_of(with_database(reader, name), "SELECT 1")

            assert await value_of(scratch, "SELECT 1") == 1


async def test_a_restore_without_privileges_gives_no_function_to_everybody(
    admin_url: str, empty_database: str, tmp_path: Path
) -> None:
    """Some run with their owner's rights. What is created later is as Postgres has it."""
    settings = Settings(database_url=SecretStr(admin_url), store_url=f"file://{tmp_path}")
    store = DirectoryStore(tmp_path)
    manifest = await write_backup(settings, store, "run-1")

    await restore_backup(settings, store, manifest, empty_database, privileges=False)

    ours = (
        "FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND has_function_privilege('public', oid, 'EXECUTE')"
    )
    assert await value_of(empty_database, f"SELECT array_agg(proname) {ours}") is None
    assert await value_of(empty_database, "SELECT count(*) FROM pg_default_acl") == 0


async def test_default_privileges_of_another_account_are_not_restored(
    stack: StackAddresses, admin_url: str, database_url: str, empty_database: str, tmp_path: Path
) -> None:
    """Every account may set them for itself, and only it or a superuser could restore them."""
    settings = Settings(database_url=SecretStr(admin_url), store_url=f"file://{tmp_path}")
    store = DirectoryStore(tmp_path)
    with account(admin_url, Service.READER) as reader:
        role = reader.split("//")[1].split(":")[0]
        await execute(reader, f"ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {role}")
        manifest = await write_backup(settings, store, "run-1")

        await restore_backup(settings, store, manifest, empty_database, privileges=True)

        assert await value_of(empty_database, "SELECT count(*) FROM schema_migration") == len(manifest.migrations)
        assert await value_of(empty_database, "SELECT count(*) FROM pg_default_acl") == 0
        await execute(as_admin(stack, empty_database), f"DROP OWNED BY {role}")


async def test_grants_take_back_functions_that_a_restore_gave_to_everybody(admin_url: str) -> None:
    """A restore without privileges leaves each function as Postgres creates it, for PUBLIC."""
    with account(admin_url, Service.READER) as reader:
        role = reader.split("//")[1].split(":")[0]
        signature = await value_of(
            admin_url, "SELECT oid::regprocedure FROM pg_proc WHERE proname = 'discard_dead_letters'"
        )
        await execute(admin_url, f"GRANT EXECUTE ON FUNCTION {signature} TO PUBLIC")
        assert await value_of(admin_url, RUN.format(role=role))
        (line,) = await check_database(admin_url, months_ahead=2)
        assert line.startswith("every role has EXECUTE on discard_dead_letters(")

        done = await bridge_text(
            "db", "grants", role, "--service", "reader", "--apply", settings={"BRIDGE_DATABASE_URL": admin_url}
        )

        assert done.returncode == 0, done.stdout + done.stderr
        assert await check_database(admin_url, months_ahead=2) == []
        assert not await value_of(admin_url, RUN.format(role=role))
