"""The schema: migrated concurrently, compared item by item, and sufficient for a role with minimal grants."""

import asyncio
import json
import subprocess
from urllib.parse import urlsplit

import asyncpg
import pytest
from support.events.settled import event, prepare, produce, settings_for, working
from support.infrastructure.accounts import account
from support.infrastructure.databases import as_admin, run_apart
from support.processes.command import words
from support.processes.programs import launch, run
from support.wait import wait_until

from bridge.dev.stack import StackAddresses
from schemas.config.service import Service
from sinks.postgres.connection import connection
from sinks.postgres.schema.check import check_database, expected_catalogue, snapshot
from sinks.postgres.schema.migrate import migrate, migrations
from sinks.postgres.schema.monthly_partitions import make_partitions

MONTHS_AHEAD = 2

# The change, and the line that the check must report.
CHANGES = {
    "table": ("DROP TABLE script_run", "table script_run: missing"),
    "column": (
        "ALTER TABLE bridge_event_raw DROP COLUMN discarded_by CASCADE",
        "column bridge_event_raw.discarded_by: missing; expected text",
    ),
    "new column": ("ALTER TABLE org ADD COLUMN extra int", "column org.extra: not expected; found integer"),
    "type": (
        "ALTER TABLE stream_offset ALTER COLUMN lost TYPE integer",
        "column stream_offset.lost: is integer not null default 0; expected bigint not null default 0",
    ),
    "nullability": (
        "ALTER TABLE bridge_event ALTER COLUMN event_id DROP NOT NULL",
        "column bridge_event.event_id: is text; expected text not null",
    ),
    "default": (
        "ALTER TABLE stream_offset ALTER COLUMN lost DROP DEFAULT",
        "column stream_offset.lost: is bigint not null; expected bigint not null default 0",
    ),
    "primary key": (
        "ALTER TABLE gate_window DROP CONSTRAINT gate_window_pkey",
        "primary key gate_window.gate_window_pkey: missing",
    ),
    "unique": (
        "ALTER TABLE schema_migration DROP CONSTRAINT schema_migration_name_key",
        "unique schema_migration.schema_migration_name_key: missing",
    ),
    "foreign key": (
        "ALTER TABLE script DROP CONSTRAINT script_site_id_fkey",
        "foreign key script.script_site_id_fkey: missing",
    ),
    "check": (
        "ALTER TABLE gate_window DROP CONSTRAINT gate_window_sum",
        "check gate_window.gate_window_sum: missing",
    ),
    "index": ("DROP INDEX bridge_event_raw_waiting", "index bridge_event_raw_waiting: missing"),
    "view": ("DROP VIEW kpi_7d", "view kpi_7d: missing"),
    "view's text": (
        "CREATE OR REPLACE VIEW gate_window_5m AS SELECT * FROM gate_window_30m",
        "view gate_window_5m: is SELECT",
    ),
    "trigger": ("DROP TRIGGER replay_kept ON replay", "trigger replay.replay_kept: missing"),
    "disabled trigger": (
        "ALTER TABLE replay DISABLE TRIGGER replay_writer",
        "trigger replay.replay_writer: is CREATE TRIGGER",
    ),
    "function": (
        "CREATE OR REPLACE FUNCTION keep_history() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "function keep_history(): is returns trigger",
    ),
    "month": (
        "DO $$ BEGIN EXECUTE format('DROP TABLE bridge_event_%s', to_char(now(), 'YYYY_MM')); END $$",
        "partition bridge_event_2",
    ),
    "migration": ("DELETE FROM schema_migration", "migration 0001_initial.sql: not applied"),
    "checksum": (
        "UPDATE schema_migration SET checksum = 'x'",
        "migration 0001_initial.sql: was changed after it was applied",
    ),
    "newer": (
        "INSERT INTO schema_migration VALUES (9999, '9999_later.sql', 'x')",
        "migration 9999_later.sql: applied, but this build does not know it",
    ),
}


async def _execute(url: str, *texts: str) -> None:
    conn = await asyncpg.connect(url)
    try:
        for text in texts:
            await conn.execute(text)
    finally:
        await conn.close()


async def test_a_migrated_database_is_as_needed(database_url: str) -> None:
    """The check of a migrated database reports no difference."""
    assert await check_database(database_url, months_ahead=MONTHS_AHEAD) == []


async def test_the_snapshot_is_what_the_migrations_make(empty_database: str) -> None:
    """Renew it with `bridge db snapshot > sinks/postgres/schema/schema_snapshot.json` on a newly migrated database."""
    await migrate(empty_database)

    assert json.loads(await snapshot(empty_database)) == expected_catalogue()


@pytest.mark.parametrize("change", CHANGES)
async def test_a_difference_is_named(database_url: str, change: str) -> None:
    """Each manual change is reported in one line."""
    statement, expected = CHANGES[change]
    await _execute(database_url, statement)

    lines = await check_database(database_url, months_ahead=MONTHS_AHEAD)

    assert any(line.startswith(expected) for line in lines), lines
    assert not any("\n" in line for line in lines)


async def test_other_peoples_tables_are_left_alone(database_url: str) -> None:
    """A table that the product does not know is no difference."""
    await _execute(database_url, "CREATE TABLE somebody_elses (id int)")

    assert await check_database(database_url, months_ahead=MONTHS_AHEAD) == []


async def test_a_worker_settles_under_exactly_its_grants(
    stack: StackAddresses, database_url: str, topic_prefix: str
) -> None:
    """A role with exactly the checked privileges commits a stream; a missing privilege is reported."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    await produce(settings, [event(0), event(1), event(0), b"{bad", event(2, script_id="nobody")])
    owner = await asyncpg.connect(database_url)
    try:
        with account(as_admin(stack, database_url), Service.WORKER) as url:
            async with working(settings_for(stack.kafka, url, topic_prefix)):
                await wait_until(
                    lambda: owner.fetchval(
                        "SELECT sum(normalized) = 2 AND sum(dropped) = 3 FROM stream_offset WHERE group_id = $1",
                        settings.group,
                    ),
                    budget_seconds=60,
                    describe="the stream settled under the role",
                )
            role = urlsplit(url).username
            await owner.execute(f"REVOKE UPDATE (held) ON stream_offset FROM {role}")
            lines = await check_database(url, months_ahead=MONTHS_AHEAD, service=Service.WORKER)
            assert lines == [f"role {role}: lacks UPDATE (held) on stream_offset"]
    finally:
        await owner.close()


def test_two_migrations_at_once_both_end_well(empty_database: str) -> None:
    """One applies the migrations, the other waits and finds nothing to do; both exit with 0."""
    url = {"BRIDGE_DATABASE_URL": empty_database}
    assert run(words("db", "status"), changed=url).returncode == 1

    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("BRIDGE_DATABASE_URL", empty_database)
        started: list[subprocess.Popen[str]] = [launch(words("db", "migrate")) for _ in range(3)]
    told = [process.communicate(timeout=60)[0] for process in started]

    assert [process.returncode for process in started] == [0, 0, 0]
    applied = [f"applied: {one.name}" for one in migrations()]
    assert sorted(told) == sorted(["\n".join(applied) + "\n", "up to date\n", "up to date\n"])
    status = run(words("db", "status", "--json-output", "-"), changed=url)
    assert status.returncode == 0
    assert json.loads(status.stdout)["pending"] == []


async def test_many_migrations_at_the_same_moment(empty_database: str) -> None:
    """One of them applies everything, the others nothing, and none fails."""
    told = await asyncio.gather(*(migrate(empty_database) for _ in range(6)))

    assert sorted(told) == sorted([[one.name for one in migrations()], *([[]] * 5)])
    assert await check_database(empty_database, months_ahead=MONTHS_AHEAD) == []


async def test_months_are_made_by_many_at_once(empty_database: str) -> None:
    """Workers that create the same month at the same time don't fail one another."""
    await migrate(empty_database)

    async def make() -> None:
        async with connection(empty_database, "test") as conn:
            await make_partitions(empty_database, conn, 12)

    await asyncio.gather(*(make() for _ in range(8)))

    assert await check_database(empty_database, months_ahead=12) == []


def test_the_command_names_differences(database_url: str) -> None:
    """Exit code 0 and `as needed`, or 1 with a line for each difference; 3 for a database that is away."""
    command = words("db", "check")
    url = {"BRIDGE_DATABASE_URL": database_url}
    clean = run(command, changed=url)
    assert (clean.returncode, clean.stdout) == (0, "as needed\n")

    run_apart(_execute(database_url, "DROP VIEW kpi_7d"))
    differs = run(command, changed=url)
    assert (differs.returncode, differs.stdout) == (1, "view kpi_7d: missing\n")

    away = run(command, changed={"BRIDGE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"})
    assert away.returncode == 3
    assert "BRIDGE_DATABASE_URL" in away.stderr
