"""The start guards on real servers: refusals in production, waits, and no other obstacle."""

import asyncio
import json
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from support.events.settled import settings_for
from support.infrastructure.databases import run_apart
from support.processes.command import bridge, words
from support.processes.front import front, lead_on
from support.processes.programs import environment as environment_of
from support.processes.programs import run
from support.wait import wait_until

from bridge.dev.stack import StackAddresses
from schemas.config.service import Service
from schemas.config.settings import Settings
from schemas.errors import InvalidInput, PreconditionFailed, StartRefused
from sinks.kafka.admin import kafka_admin
from sinks.kafka.aiokafka_patches.configs import set_configs
from sinks.kafka.topics import apply_topics
from streams.startup_checks import ready

ALLOWED = ("loopback", "plaintext_kafka", "plaintext_postgres", "few_replicas")
NOWHERE = "127.0.0.1:1"


async def execute(url: str, *statements: str) -> None:
    conn = await asyncpg.connect(url)
    try:
        for statement in statements:
            await conn.execute(statement)
    finally:
        await conn.close()


@pytest.fixture
def account(stack: StackAddresses) -> Iterator[str]:
    """An account whose password is no default, as `name:password`."""
    name, password = f"guard_{secrets.token_hex(4)}", secrets.token_hex(8)
    run_apart(execute(stack.admin_database_url, f"CREATE ROLE {name} LOGIN SUPERUSER PASSWORD '{password}'"))
    try:
        yield f"{name}:{password}"
    finally:
        run_apart(execute(stack.admin_database_url, f"DROP ROLE {name}"))


@pytest.fixture
def production(stack: StackAddresses, database_url: str, topic_prefix: str, account: str) -> Settings:
    """Production on this machine's stack, with every exception that it needs."""
    place = urlsplit(database_url)
    url = place._replace(netloc=f"{account}@{place.hostname}:{place.port}").geturl()
    return settings_for(
        stack.kafka, url, topic_prefix,
        env="production", production_allow=ALLOWED, secret_key=secrets.token_hex(32), start_timeout="5s",
    )  # fmt: skip


def environment(settings: Settings, **more: str) -> dict[str, str]:
    secret = settings.secret_key
    return {
        "BRIDGE_ENV": settings.env,
        "BRIDGE_KAFKA_BOOTSTRAP_SERVERS": settings.brokers,
        "BRIDGE_DATABASE_URL": settings.dsn,
        "BRIDGE_TOPIC_PREFIX": settings.topic_prefix,
        "BRIDGE_GROUP": settings.group,
        "BRIDGE_TOPIC_PARTITIONS": str(settings.topic_partitions),
        "BRIDGE_RETRY_DELAYS": ",".join(settings.retry_delays),
        "BRIDGE_SECRET_KEY": "" if secret is None else secret.get_secret_value(),
        "BRIDGE_PRODUCTION_ALLOW": ",".join(settings.production_allow),
        **more,
    }


def test_a_local_stack_is_refused_with_every_line(production: Settings, tmp_path: Path) -> None:
    """Worker, also under Faust's command, and process exit with 3 and one line per mistake.

    A misspelt variable is one of them.
    """
    wrong = environment(
        production, BRIDGE_PRODUCTION_ALLOW="", BRIDGE_SECRET_KEY="short", BRIDGE_LOG_LEVEL="DEBUG", BRIDGE_LANE="2"
    )
    names = [
        "BRIDGE_LANE is not a setting: did you mean BRIDGE_LANES?", "BRIDGE_DATABASE_URL leads",
        "BRIDGE_KAFKA_BOOTSTRAP_SERVERS leads", "BRIDGE_SECRET_KEY has 5", "BRIDGE_KAFKA_SECURITY_PROTOCOL is",
        "BRIDGE_DATABASE_URL may talk", "BRIDGE_TOPIC_REPLICATION is 1", "BRIDGE_TOPIC_MIN_INSYNC is 1",
        "BRIDGE_LOG_LEVEL is DEBUG",
    ]  # fmt: skip

    worker = bridge("worker", settings=wrong)
    faust = run([str(Path(sys.executable).parent / "faust"), "-A", "streams.app", "worker"], changed=wrong)
    process = bridge("process", "--json-output", str(tmp_path / "s.json"), settings=wrong)

    lines = worker.stderr.decode().splitlines()
    assert worker.returncode == process.returncode == faust.returncode == 3
    assert len(lines) == len(names), lines
    for line, name in zip(lines, names, strict=True):
        assert line.startswith(f"error: {name}")
    assert faust.stderr.splitlines() == lines
    reasons = [error["reason"] for error in json.loads((tmp_path / "s.json").read_text())["errors"]]
    assert [f"error: {reason}" for reason in reasons] == lines


async def test_what_is_allowed_by_name_runs(production: Settings, tmp_path: Path) -> None:
    """With these exceptions the worker starts on the local stack and exits with 0 after a drain."""
    await apply_topics(production)
    told = tmp_path / "worker.log"
    with told.open("wb") as log:
        worker = subprocess.Popen(words("worker"), env=environment_of(environment(production)), stdout=log, stderr=log)
    try:
        await wait_until(
            lambda: worker.poll() is not None or "worker_started" in told.read_text(),
            budget_seconds=60,
            describe=told.read_text,
        )
        worker.terminate()
        assert worker.wait(30) == 0, told.read_text()
    finally:
        worker.kill()
        worker.wait(10)


async def test_a_misspelt_variable_is_said_in_development(production: Settings) -> None:
    """A warning names the variable, and the command runs."""
    done = bridge("db", "status", settings=environment(production, BRIDGE_ENV="development", BRIDGE_LANE="2"))
    assert done.returncode == 0
    assert done.stderr.startswith(b"warning: BRIDGE_LANE is not a setting: did you mean BRIDGE_LANES?")


async def refused(settings: Settings, service: Service = Service.WORKER) -> list[str]:
    """The lines of the refusal, or [] if the start is allowed."""
    try:
        await ready(settings, service)
    except StartRefused as refusal:
        return list(refusal.lines)
    return []


async def test_schema_and_topics_behind_are_told_together(production: Settings) -> None:
    """The refusal names the pending migration and every missing topic with its remedy; nothing is created."""
    await execute(production.dsn, "DELETE FROM schema_migration WHERE version = 2")
    for env in ("production", "staging"):
        lines = await refused(production.model_copy(update={"env": env}))
        assert lines[0] == "the schema lacks the migrations 0002_gate_state.sql: run `bridge db migrate`"
        assert [line.split(" ")[5] for line in lines[1:]] == [
            f"{production.topic_prefix}{name}:" for name in ("raw", "retry.100ms", "retry.300ms", "dlq", "gate")
        ]
        assert all("`bridge topics apply`" in line for line in lines[1:])


async def test_a_topic_that_differs_is_refused(production: Settings) -> None:
    """The refusal names the config."""
    await apply_topics(production)
    assert await refused(production) == []
    async with kafka_admin(production) as client:
        await set_configs(client, {production.topics.raw: {"message.timestamp.type": "CreateTime"}})

    async def said() -> bool:
        lines = await refused(production)
        return len(lines) == 1 and "message.timestamp.type is CreateTime, declared is LogAppendTime" in lines[0]

    await wait_until(said, budget_seconds=20, describe="the difference named")


# A change of the database and the refusal in production, None where the start is allowed.
DATABASES: dict[str, tuple[str, str | None]] = {
    "a view dropped": ("DROP VIEW kpi_7d", "the database differs from what this release needs: view kpi_7d: missing"),
    "a column more": (
        "ALTER TABLE org ADD COLUMN extra int",
        "the database differs from what this release needs: column org.extra",
    ),
    "this month missing": (
        "DO $$ BEGIN EXECUTE format('DROP TABLE bridge_event_%s', to_char(now(), 'YYYY_MM')); END $$",
        "the database differs from what this release needs: partition bridge_event_",
    ),
    "a month ahead missing": (
        "DO $$ BEGIN EXECUTE format('DROP TABLE bridge_event_%s', to_char(now() + '1 month', 'YYYY_MM')); END $$",
        None,
    ),
    "an administrator's index": ("CREATE INDEX more ON bridge_event_raw (error_class)", None),
    "a newer release": (
        "INSERT INTO schema_migration VALUES (9999, '9999_later.sql', 'x'); ALTER TABLE org ADD COLUMN extra int",
        None,
    ),
}


@pytest.mark.parametrize("change", DATABASES)
async def test_the_database_is_as_needed_or_refused(production: Settings, change: str) -> None:
    """Production always refuses a wrong schema, other environments with BRIDGE_STRICT_DB_MODE.

    A newer schema is accepted, so that workers of a rolling deploy continue.
    """
    statement, expected = DATABASES[change]
    await apply_topics(production)
    await execute(production.dsn, statement)
    staging = production.model_copy(update={"env": "staging"})

    assert await refused(staging) == []
    for strict in (production, staging.model_copy(update={"strict_db_mode": True})):
        lines = await refused(strict)
        assert len(lines) == (expected is not None), lines
        assert not expected or lines[0].startswith(expected)


async def test_a_privilege_that_is_lacking_is_refused(production: Settings, stack: StackAddresses) -> None:
    """The refusal names the worker's missing privilege."""
    await apply_topics(production)
    name, password = f"least_{secrets.token_hex(4)}", secrets.token_hex(8)
    await execute(production.dsn, f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
    try:
        await execute(production.dsn, f"GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}")
        place = urlsplit(production.dsn)
        url = place._replace(netloc=f"{name}:{password}@{place.hostname}:{place.port}").geturl()
        lines = await refused(settings_like(production, database_url=url))
        assert f"the database differs from what this release needs: role {name}: lacks INSERT on bridge_event" in lines
    finally:
        await execute(production.dsn, f"DROP OWNED BY {name}; DROP ROLE {name}")


def settings_like(settings: Settings, **changed: Any) -> Settings:
    return Settings(**(settings.model_dump() | changed))


async def test_services_that_are_away_are_told_together_after_the_time_out(production: Settings) -> None:
    """The refusal names both services after the time-out, and within ten seconds."""
    away = settings_like(
        production,
        kafka_bootstrap_servers=NOWHERE,
        database_url=f"postgresql://u:p9f2r7k2@{NOWHERE}/d",
        start_timeout="1s",
    )
    started = time.monotonic()
    lines = await refused(away)
    assert 1 <= time.monotonic() - started < 10
    assert [line.split(" ")[0] for line in lines] == ["Postgres", "Kafka"], lines


async def test_what_waiting_does_not_heal_is_told_at_once(production: Settings) -> None:
    """A missing database, an unreadable certificate and an unset address are refused without waiting."""
    started = time.monotonic()
    patient = settings_like(production, start_timeout="10m")
    (line,) = await refused(settings_like(patient, database_url=production.dsn + "_not"))
    assert "does not exist" in line
    unreadable = {"kafka_security_protocol": "SSL", "kafka_ssl_cafile": "/nowhere.pem"}
    with pytest.raises(InvalidInput, match=r"BRIDGE_KAFKA_SSL_CAFILE: no certificates in /nowhere.pem"):
        await ready(settings_like(patient, **unreadable), Service.WORKER)
    with pytest.raises(InvalidInput, match="BRIDGE_DATABASE_URL is not set"):
        await ready(settings_like(patient, env="staging", database_url=""), Service.WORKER)
    assert time.monotonic() - started < 30


@asynccontextmanager
async def late(host: str, port: int, *, refusals: int) -> AsyncIterator[int]:
    """A port that closes its first connections and forwards the later ones to the server."""
    refused_so_far = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal refused_so_far
        if refused_so_far < refusals:
            refused_so_far += 1
        else:
            await lead_on(reader, writer, host, port)

    async with front(serve) as own:
        yield own
    assert refused_so_far == refusals


async def test_a_start_without_postgres_waits_for_it(production: Settings) -> None:
    """With startup_without_postgres a start waits beyond its time-out; without it the start is refused."""
    await apply_topics(production)
    place = urlsplit(production.dsn)
    staging = {"env": "staging", "start_timeout": "0s"}
    for waits in (False, True):
        async with late(place.hostname or "", place.port or 0, refusals=2 if waits else 1) as port:
            url = place._replace(netloc=f"{place.username}:{place.password}@127.0.0.1:{port}").geturl()
            lines = await refused(
                settings_like(production, **staging, database_url=url, startup_without_postgres=waits)
            )
        assert [line[:20] for line in lines] == ([] if waits else ["Postgres is away at "])


async def test_a_start_without_kafka_waits_for_it(production: Settings) -> None:
    """With startup_without_kafka a start waits beyond its time-out; without it the start is refused."""
    host, _, port = production.brokers.rpartition(":")
    await apply_topics(production)
    staging = {"env": "staging", "start_timeout": "0s"}
    for waits in (False, True):
        async with late(host, int(port), refusals=2 if waits else 1) as proxied:
            place = f"127.0.0.1:{proxied}"
            lines = await refused(
                settings_like(production, **staging, kafka_bootstrap_servers=place, startup_without_kafka=waits)
            )
        assert [line.split(" ")[0] for line in lines] == ([] if waits else ["Kafka"])


async def test_development_makes_what_is_behind_by_itself(production: Settings) -> None:
    """Development creates topics and schema at the start; a dry run reports what is missing instead."""
    development = settings_like(
        production, env="development", production_allow=(), secret_key=None, topic_prefix=f"d{production.topic_prefix}"
    )
    with pytest.raises(PreconditionFailed, match="missing"):
        await ready(development, Service.WORKER, look_only=True)
    await ready(development, Service.WORKER)
    await ready(development, Service.WORKER, look_only=True)
