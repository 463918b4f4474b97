"""Damaged, partial and foreign backups are refused with the reason: nothing is restored, and none is verified."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from pydantic import SecretStr
from support.backups import KEY
from support.infrastructure.bucket import BUCKET, serving_bucket
from support.infrastructure.databases import as_admin, run_apart, with_database

from bridge.backups.objects import find_backup
from bridge.backups.programs import find_program
from bridge.backups.reading import differences, examined_target, restore_backup
from bridge.backups.writing import write_backup
from bridge.jobs.backups.create import create_job
from bridge.jobs.backups.verify import verify_job
from bridge.jobs.frame import RunOptions, perform
from schemas.config.settings import Settings
from schemas.errors import BridgeError, Damaged, PreconditionFailed
from sinks.postgres.backups.programs import Program, ProgramFailed, best_compression, restore
from sinks.postgres.backups.record import list_backups
from sinks.postgres.connection import connection
from sinks.postgres.schema.migrate import migrate
from sinks.store.directory import DirectoryStore

Change = Callable[[bytearray], None]
PLACES = (0.001, 0.3, 0.999)


def settings_of(database_url: str, server: str, store: Path, **changed: object) -> Settings:
    chosen = {"database_url": database_url, "store_url": f"file://{store}", "verify_database_url": server}
    return Settings(**(chosen | changed))  # type: ignore[arg-type]  # the settings validate what they are given


async def restored(settings: Settings, dsn: str) -> list[str]:
    """Restore the newest backup into the database; return what differs."""
    store = DirectoryStore(Path(settings.store_url.removeprefix("file://")))
    manifest = await find_backup(store, "newest")
    await examined_target(manifest, dsn, privileges=True)
    await restore_backup(settings, store, manifest, dsn, privileges=True)
    return await differences(manifest, dsn)


async def is_empty(dsn: str) -> bool:
    async with connection(dsn, "test") as conn:
        return not await conn.fetchval("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace")


def turned(place: float) -> Change:
    def change(content: bytearray) -> None:
        content[int(place * len(content))] ^= 1

    return change


def cut(content: bytearray) -> None:
    del content[-100:]


def exchanged(content: bytearray) -> None:
    """Exchange two pieces; the size stays."""
    content[5000:5100], content[9000:9100] = content[9000:9100], content[5000:5100]


DAMAGES: list[Change] = [*map(turned, PLACES), cut, exchanged]


@pytest.fixture
def server(stack, database_url) -> str:
    """The same database for the superuser, who may create databases for verifications."""
    return with_database(stack.admin_database_url, database_url.rsplit("/", 1)[1])


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "encrypted"])
async def test_a_damaged_dump_is_refused_and_restores_nothing(
    database_url, empty_database, server, tmp_path, monkeypatch, key
) -> None:
    """Bytes turned, cut or exchanged; the same dump is restored when it is whole again."""
    # Small pieces, so that pg_restore has got most of a small dump when the damage is found.
    monkeypatch.setattr("sinks.store.directory._PIECE", 4096)
    monkeypatch.setattr("sinks.store.frames.PIECE", 4096)
    settings = settings_of(database_url, server, tmp_path, backup_key=key)
    manifest = await write_backup(settings, DirectoryStore(tmp_path), "run-1")
    (path,) = tmp_path.rglob("dump")
    whole = path.read_bytes()
    assert len(whole) == manifest.stored_bytes
    for change in DAMAGES:
        content = bytearray(whole)
        change(content)
        path.write_bytes(content)

        with pytest.raises(Damaged, match=r"the (encrypted )?dump is damaged"):
            await restored(settings, empty_database)
        assert await is_empty(empty_database)
    path.write_bytes(whole)
    assert await restored(settings, empty_database) == []


async def test_a_restore_that_fails_midway_leaves_nothing(database_url, empty_database, server, tmp_path) -> None:
    """pg_restore creates many objects before the table that somebody else creates meanwhile."""
    settings, store = settings_of(database_url, server, tmp_path), DirectoryStore(tmp_path)
    manifest = await write_backup(settings, store, "run-1")
    async with connection(empty_database, "test") as conn:
        await conn.execute("CREATE TABLE stream_offset (x integer)")

        with pytest.raises(
            PreconditionFailed, match=r'nothing was restored: .*relation "stream_offset" already exists'
        ):
            await restore_backup(settings, store, manifest, empty_database, privileges=True)

        found = await conn.fetch("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace")
    assert [row["relname"] for row in found] == ["stream_offset"]


async def test_a_dump_without_its_last_byte_can_t_be_restored(database_url, empty_database, server, tmp_path) -> None:
    """So a restore is not committed before the last piece was given, which waits for the digest."""
    settings = settings_of(database_url, server, tmp_path)
    manifest = await write_backup(settings, DirectoryStore(tmp_path), "run-1")
    (path,) = tmp_path.rglob("dump")
    whole = path.read_bytes()

    async def pieces() -> AsyncIterator[bytes]:
        yield whole[:-1]

    program = find_program(settings, "pg_restore", manifest.pg_dump_major, "a test")
    with pytest.raises(ProgramFailed):
        await restore(program, empty_database, pieces, schema="public", privileges=True)

    assert await is_empty(empty_database)


async def test_dump_and_counts_are_of_one_moment(database_url, empty_database, server, tmp_path, monkeypatch) -> None:
    """A row that is committed after the snapshot, before the dump begins, is in neither."""
    settings = settings_of(database_url, server, tmp_path)

    def compression(program: Program) -> str:
        run_apart(_add_org(database_url))
        return best_compression(program)

    monkeypatch.setattr("bridge.backups.writing.best_compression", compression)
    manifest = await write_backup(settings, DirectoryStore(tmp_path), "run-1")

    assert manifest.tables["org"] == 0
    assert await restored(settings, empty_database) == []


async def _add_org(dsn: str) -> None:
    async with connection(dsn, "test") as conn:
        await conn.execute("INSERT INTO org (org_id) VALUES (77)")


async def test_a_backup_in_a_bucket_is_verified(database_url, server, monkeypatch) -> None:
    """The commands take the bucket's account from the usual variables."""
    async with serving_bucket() as bucket:
        for name, value in bucket.variables().items():
            monkeypatch.setenv(name, value)
        settings = settings_of(database_url, server, Path(), store_url=f"s3://{BUCKET}/bridge", backup_key=KEY)
        made, code = await perform(create_job(settings), settings, RunOptions())
        assert (code, made.encrypted, made.warnings) == (0, True, [])

        summary, code = await perform(verify_job(settings, "newest"), settings, RunOptions())

        assert (code, summary.errors, summary.backup_id) == (0, [], made.backup_id)
        assert {name.rsplit("/", 1)[1].split("-")[0] for name in bucket.objects} == {
            "dump",
            "manifest.json",
            "verified",
        }
    (record,) = await list_backups(database_url)
    assert (record.stored_at, record.problem) == (f"s3://{BUCKET}/bridge", None)


async def test_a_schema_of_another_name_is_restored(stack, empty_database, tmp_path) -> None:
    """The schema of the session is backed up, whatever its name, and a restore creates it."""
    async with connection(empty_database, "test") as conn:
        await conn.execute("CREATE SCHEMA bridge_2")
        await conn.execute("CREATE TABLE public.of_others (x integer)")
    database_url = f"{empty_database}?search_path=bridge_2"
    await migrate(database_url)
    settings = settings_of(database_url, as_admin(stack, empty_database), tmp_path)
    manifest = await write_backup(settings, DirectoryStore(tmp_path), "run-1")
    assert manifest.schema_name == "bridge_2"
    assert "of_others" not in manifest.tables

    summary, code = await perform(verify_job(settings, "newest"), settings, RunOptions())

    assert (code, summary.problems, summary.warnings) == (0, [], [])


async def test_a_backup_is_verified_only_if_it_is_whole(database_url, server, tmp_path) -> None:
    """The result is beside the manifest and in the database, and the scratch database is dropped after a failure too."""
    settings = settings_of(database_url, server, tmp_path)
    manifest = await write_backup(settings, DirectoryStore(tmp_path), "run-1")
    (path,) = tmp_path.rglob("dump")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))

    summary, code = await perform(verify_job(settings, "newest"), settings, RunOptions())

    assert code == 1
    assert "is not verified: nothing was restored" in summary.errors[0].reason
    (record,) = await list_backups(database_url)
    assert record.problem is not None
    assert "SHA-256" in record.problem
    path.write_bytes(whole)
    summary, code = await perform(verify_job(settings, manifest.backup_id), settings, RunOptions())
    assert (code, summary.problems) == (0, [])
    (record,) = await list_backups(database_url)
    assert (record.problem, record.row_count) == (None, manifest.rows)
    async with connection(server, "test") as conn:
        assert not await conn.fetchval("SELECT count(*) FROM pg_database WHERE datname LIKE 'bridge_verify_%'")


async def test_rows_that_differ_from_the_manifest_are_no_verified_backup(database_url, server, tmp_path) -> None:
    """Every table's count is compared, and the definitions."""
    settings = settings_of(database_url, server, tmp_path)
    await write_backup(settings, DirectoryStore(tmp_path), "run-1")
    (path,) = tmp_path.rglob("manifest.json")
    document = json.loads(path.read_text())
    document["tables"]["org"] += 1
    document["catalogue_sha256"] = "0"
    path.write_text(json.dumps(document))

    summary, code = await perform(verify_job(settings, "newest"), settings, RunOptions())

    assert code == 1
    assert summary.problems[0] == "table org has 0 rows, the backup has 1"
    assert "definitions of tables, views or functions are not those" in summary.problems[1]


async def test_a_wrong_key_a_changed_manifest_and_an_unknown_format_are_refused_first(
    database_url, empty_database, server, tmp_path
) -> None:
    """Each has its reason, before the dump is read."""
    settings = settings_of(database_url, server, tmp_path, backup_key=KEY)
    await write_backup(settings, DirectoryStore(tmp_path), "run-1")
    (path,) = tmp_path.rglob("manifest.json")
    whole = path.read_text()
    document = json.loads(whole)

    async def reason(text: str, key: str | None = KEY) -> str:
        path.write_text(text)
        given = None if key is None else SecretStr(key)
        with pytest.raises(BridgeError) as refused:
            await restored(settings.model_copy(update={"backup_key": given}), empty_database)
        return str(refused.value)

    assert "BRIDGE_BACKUP_KEY is not set" in await reason(whole, None)
    assert "another key than BRIDGE_BACKUP_KEY" in await reason(whole, KEY + "!")
    assert "changed after it was written" in await reason(json.dumps(document | {"tables": {}}))
    assert "format is 2, and this release reads format 1" in await reason(json.dumps(document | {"format": 2}))
    assert "the manifest is damaged: it is no JSON" in await reason(whole[:100])
    assert "the manifest is damaged: sha256" in await reason(json.dumps({**document, "sha256": None}))
    assert "the manifest is of another backup" in await reason(json.dumps(document | {"backup_id": "another"}))
    assert "restore it on Postgres 99 or newer" in await reason(
        json.dumps(document | {"encryption": None, "postgres_major": 99})
    )
    assert "pg_restore 99 or newer is needed" in await reason(
        json.dumps(document | {"encryption": None, "pg_dump_major": 99})
    )
    path.unlink()
    with pytest.raises(BridgeError, match="has no backup newest"):
        await restored(settings, empty_database)
    assert await is_empty(empty_database)


async def test_a_database_that_has_something_is_refused(database_url, empty_database, server, tmp_path) -> None:
    """Rows, sessions of the bridge, and accounts that the server lacks."""
    settings = settings_of(database_url, server, tmp_path)
    await write_backup(settings, DirectoryStore(tmp_path), "run-1")

    with pytest.raises(BridgeError, match=r"is not empty, it has public\.\w+"):
        await restored(settings, database_url)
    async with connection(empty_database, "lane"):
        with pytest.raises(
            BridgeError, match=r"in use by processes of the bridge: session \d+ .*ghostlink-bridge lane"
        ):
            await restored(settings, empty_database)
    (path,) = tmp_path.rglob("manifest.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"roles": ["nobody-here"]}))
    with pytest.raises(BridgeError, match="lacks the accounts nobody-here"):
        await restored(settings, empty_database)


async def test_the_newest_backup_is_found_beside_damaged_ones(database_url, server, tmp_path) -> None:
    """An older manifest that is damaged, or of another release's format, does not prevent a restore of the newest."""
    store = DirectoryStore(tmp_path)
    made = await write_backup(settings_of(database_url, server, tmp_path), store, "run-1")
    for name, text in (("20200101T000000Z-dead", "{"), ("20200102T000000Z-0000", '{"format": 2}')):
        left = tmp_path / "backups" / name / "manifest.json"
        left.parent.mkdir()
        left.write_text(text)

    assert (await find_backup(store, "newest")).backup_id == made.backup_id
