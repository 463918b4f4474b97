"""The commands of backups: failures of pg_dump, what is removed when, and what is shown."""

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest
from support.backups import backup_environment, made, refused, stored
from support.events.settled import settings_for
from support.infrastructure.databases import with_database

from bridge.backups.writing import write_backup
from bridge.jobs.backups.attest import attest_job
from bridge.jobs.backups.create import create_job
from bridge.jobs.backups.prune import prune_job
from bridge.jobs.frame import RunOptions, perform
from schemas.config.settings import Settings
from sinks.postgres.backups.ages import BackupAges, backup_ages
from sinks.postgres.backups.record import list_backups
from sinks.store.directory import DirectoryStore

PASSWORD = "of-an-account-4711"  # no account has it


def programs(directory: Path, *, version: str, then: str) -> str:
    """Write a pg_dump with this version that runs the shell commands `then`; return its directory."""
    directory.mkdir()
    path = directory / "pg_dump"
    path.write_text(
        "#!/bin/sh\n"
        f'if [ "$1" = --version ]; then echo "pg_dump (PostgreSQL) {version}"; exit; fi\n'
        'case "$*" in *--host=/dev/null*) echo "invalid compression" >&2; exit 1;; esac\n'
        f"{then}\n"
    )
    path.chmod(0o700)
    return str(directory)


def settings_of(database_url: str, store: Path, **changed: object) -> Settings:
    return Settings(**({"database_url": database_url, "store_url": f"file://{store}"} | changed))  # type: ignore[arg-type]


def full(_descriptor: int, _data: bytes) -> int:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("then", "reason"),
    [
        ("printf 'half a dump'; kill -9 $$", "pg_dump was ended by signal 9"),
        ("printf 'half a dump'; echo 'out of locks' >&2; exit 1", "pg_dump has failed with exit code 1: out of locks"),
    ],
)
async def test_a_failed_pg_dump_leaves_no_backup(database_url, tmp_path, then: str, reason: str) -> None:
    """The run fails with the reason, and the store has neither a dump nor a manifest."""
    settings = settings_of(
        database_url, tmp_path / "store", pg_bin=programs(tmp_path / "bin", version="99.1", then=then)
    )

    summary, code = await perform(create_job(settings), settings, RunOptions())

    assert code == 1
    assert reason in summary.errors[0].reason
    assert stored(tmp_path / "store") == set()
    assert (await backup_ages(database_url)).newest is None


async def test_a_full_disk_leaves_no_backup(database_url, tmp_path, monkeypatch) -> None:
    """The run fails and names the store."""
    settings = settings_of(database_url, tmp_path / "store")

    with monkeypatch.context() as patch:
        patch.setattr("sinks.store.directory.os.write", full)
        summary, code = await perform(create_job(settings), settings, RunOptions())

    assert code == 1
    assert "No space left on device" in summary.errors[0].reason
    assert stored(tmp_path / "store") == set()


async def test_a_limit_of_bytes_makes_pg_dump_wait(database_url, tmp_path) -> None:
    """200 kB at 400 kB a second; pg_dump has nothing more in a buffer than a pipe takes."""
    then = "head -c 200000 /dev/zero"
    settings = settings_of(
        database_url,
        tmp_path / "store",
        pg_bin=programs(tmp_path / "bin", version="99.1", then=then),
        backup_bytes_per_second=400_000,
    )
    started = time.monotonic()

    manifest = await write_backup(settings, DirectoryStore(tmp_path / "store"), "run-1")

    assert manifest.stored_bytes == 200_000
    assert time.monotonic() - started > 0.5


@pytest.mark.timeout(60)
async def test_a_program_that_pg_dump_has_started_ends_with_it(database_url, tmp_path, monkeypatch) -> None:
    """BRIDGE_PG_BIN may have a script that starts the real program, which would keep the pipe open."""
    then = "printf 'half a dump'; sleep 100"
    settings = settings_of(
        database_url, tmp_path / "store", pg_bin=programs(tmp_path / "bin", version="99.1", then=then)
    )
    monkeypatch.setattr("sinks.store.directory._write", full)
    started = time.monotonic()

    summary, _ = await perform(create_job(settings), settings, RunOptions())

    assert "No space left on device" in summary.errors[0].reason
    assert time.monotonic() - started < 30


async def test_an_older_pg_dump_is_refused_with_both_versions(database_url, tmp_path) -> None:
    """Before anything is written; the remedy names the setting."""
    settings = settings_of(
        database_url, tmp_path / "store", pg_bin=programs(tmp_path / "bin", version="9.6.1", then="exit 1")
    )

    summary, code = await perform(create_job(settings), settings, RunOptions())

    assert code == 1
    (error,) = summary.errors
    assert "is 9.6.1" in error.reason
    assert "because the server is Postgres" in error.reason
    assert "BRIDGE_PG_BIN" in error.reason
    assert stored(tmp_path / "store") == set()


async def test_no_secret_is_on_a_command_line(database_url, tmp_path, monkeypatch) -> None:
    """The password is in the program's environment, and other secrets of the product are not."""
    noted = tmp_path / "noted"
    then = f'echo "$*" > {noted}; env >> {noted}; exit 1'
    settings = settings_of(
        database_url,
        tmp_path / "store",
        pg_bin=programs(tmp_path / "bin", version="99.1", then=then),
        backup_key="k" * 40,
    )
    monkeypatch.setenv("BRIDGE_BACKUP_KEY", "k" * 40)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", PASSWORD)

    await perform(create_job(settings), settings, RunOptions())

    arguments, *variables = noted.read_text().splitlines()
    password = settings.dsn.split(":")[2].partition("@")[0]
    assert password not in arguments
    assert f"PGPASSWORD={password}" in variables
    assert "k" * 40 not in noted.read_text()
    assert PASSWORD not in noted.read_text()


async def test_old_backups_are_removed_and_the_table_follows_the_store(
    stack, database_url, topic_prefix, tmp_path
) -> None:
    """Without --yes nothing is removed; the newest backup stays; dumps that never became a backup go."""
    settings = settings_of(database_url, tmp_path, backup_keep="1h")
    first, second = [(await write_backup(settings, DirectoryStore(tmp_path), f"run-{n}")).backup_id for n in (1, 2)]
    for path in tmp_path.rglob("manifest.json"):
        document = json.loads(path.read_text())
        before = datetime.fromisoformat(document["taken_at"]) - timedelta(days=400)
        path.write_text(json.dumps(document | {"taken_at": before.isoformat()}))
    left = tmp_path / "backups" / "20200101T000000Z-dead" / "dump"
    left.parent.mkdir()
    left.write_bytes(b"of a killed process")
    os.utime(left, (0, 0))

    environment = backup_environment(stack, settings_for(stack.kafka, database_url, topic_prefix), tmp_path)
    shown = await made(environment | {"BRIDGE_BACKUP_KEEP": "1h"}, "backup", "prune")
    assert (shown["removed"], shown["dry_run"]) == ([first], True)
    assert len(list(tmp_path.rglob("manifest.json"))) == 2
    removed, code = await perform(prune_job(settings), settings, RunOptions())

    assert (code, removed.removed, removed.unfinished) == (0, [first], ["backups/20200101T000000Z-dead/dump"])
    assert [one.backup_id for one in await list_backups(database_url)] == [second]
    assert not left.parent.exists()
    again, code = await perform(prune_job(settings), settings, RunOptions())
    assert (code, again.removed, again.kept_total) == (0, [], 1)


async def test_an_attested_backup_is_listed_and_counts(stack, database_url, topic_prefix, tmp_path) -> None:
    """With the time of its restore it is a verified one."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    environment = backup_environment(stack, settings, tmp_path)
    words = (
        "backup",
        "attest",
        "20261130-020000F",
        "--stored-at",
        "pgbackrest:main",
        "--taken",
        "2h",
        "--restored-in",
        "40m",
    )
    await made(environment, *words)

    (shown,) = await made(environment, "backup", "list")

    assert (shown["kind"], shown["stored_at"], shown["restore_seconds"]) == ("external", "pgbackrest:main", 2400)
    ages = await backup_ages(database_url)
    assert ages.verified == ages.newest
    assert ages.restore_seconds == 2400
    assert "--taken" in await refused(environment, *words[:6], "2999-01-01T00:00:00Z")


async def test_a_restore_is_attested_without_making_the_backup_newer(database_url) -> None:
    """The backup keeps the time whose state it has. A backup of the same name from another time was not restored."""
    settings = Settings(database_url=database_url)  # type: ignore[arg-type]  # the settings validate what they are given

    async def attest(taken: datetime | None, seconds: float | None = None) -> BackupAges:
        job = attest_job(settings, "nightly", taken, "pgbackrest:main", None, seconds)
        _, code = await perform(job, settings, RunOptions())
        assert code == 0
        return await backup_ages(database_url)

    monday, tuesday = (datetime(2026, 2, day, tzinfo=UTC) for day in (2, 3))
    await attest(monday)
    restored = await attest(None, 60)
    another = await attest(tuesday)

    assert (restored.newest, restored.verified, restored.restore_seconds) == (
        monday.timestamp(),
        monday.timestamp(),
        60,
    )
    assert (await list_backups(database_url))[0].checked_at is None
    assert another.restore_seconds is None


async def test_a_restore_is_refused_without_the_right_words(stack, database_url, topic_prefix, tmp_path) -> None:
    """A password on the command line, and the name of another database."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    environment = backup_environment(stack, settings, tmp_path)

    said = await refused(environment, "restore", "newest", "--to", f"postgresql://x:{PASSWORD}@h/d", "--confirm", "d")
    assert "the URL has a password" in said
    assert PASSWORD not in said
    target = with_database(database_url, "empty")
    environment["BRIDGE_RESTORE_DATABASE_URL"] = target
    assert "is not the database's name 'empty'" in await refused(environment, "restore", "newest", "--confirm", "other")
    environment["BRIDGE_ENV"] = "production"
    assert "may talk without TLS" in await refused(environment, "restore", "newest", "--confirm", "empty")


async def test_a_backup_that_is_gone_counts_no_more(database_url) -> None:
    """A verified backup that was removed from the store can't be restored."""
    conn = await asyncpg.connect(database_url)
    try:
        await conn.execute(
            "INSERT INTO backup (backup_id, kind, taken_at, ended_at, stored_at, checked_at, removed_at) VALUES"
            " ('a', 'dump', to_timestamp(100), now(), 'x', NULL, now()), ('b', 'dump', to_timestamp(200), now(), 'x', now(), NULL),"
            " ('c', 'dump', to_timestamp(300), now(), 'x', NULL, NULL), ('d', 'dump', to_timestamp(400), now(), 'x', now(), now())"
        )
        there = await backup_ages(database_url)
        await conn.execute("UPDATE backup SET removed_at = now()")
        gone = await backup_ages(database_url)
    finally:
        await conn.close()

    assert (there.newest, there.verified, there.oldest) == (300, 200, 200)
    assert (gone.newest, gone.verified, gone.oldest) == (100, 100, None)
