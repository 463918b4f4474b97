"""`bridge doctor` on real servers: a healthy stack is ok, and each fault is named with its remedy."""

import json
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import jsonschema
import pytest
from support.events.settled import event, prepare, produce, settings_for, working
from support.infrastructure.databases import as_admin
from support.processes.command import bridge
from support.wait import wait_until

from bridge.dev.stack import StackAddresses
from bridge.doctor import postgres, stream
from bridge.doctor.examine import CHECKS, CONNECTIONS, examine
from schemas.config.settings import Settings
from schemas.documents.doctor_report import DoctorReport, Health
from schemas.pipeline.pause import PauseKind
from sinks.kafka.admin import kafka_admin
from sinks.kafka.aiokafka_patches.configs import set_configs
from sinks.kafka.producer import make_producer
from sinks.postgres.breaker.state import trip_by_operator
from sinks.postgres.registry.pauses import start_pause

NOWHERE = "127.0.0.1:1"
SECONDS = 30.0


@pytest.fixture
async def settings(stack: StackAddresses, database_url: str, topic_prefix: str) -> Settings:
    """A stack with schema, topics and scripts."""
    made = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(made)
    return made


async def execute(url: str, *statements: str) -> None:
    conn = await asyncpg.connect(url)
    try:
        for statement in statements:
            await conn.execute(statement)
    finally:
        await conn.close()


def told(report: DoctorReport, *, but: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """The findings that are not ok, by check, without the disk of this machine."""
    found: dict[str, list[str]] = {}
    for one in report.diagnoses:
        assert one.health is Health.OK or one.mend, one
        if one.health is not Health.OK and one.group != "disk" and one.check not in but:
            found.setdefault(one.check, []).append(f"{one.health.value}: {one.found}")
    return found


async def test_a_healthy_stack(settings: Settings) -> None:
    """Every check is ok while a worker runs, and every declared check has a finding."""
    async with working(settings):
        await produce(settings, [event(number) for number in range(20)])

        found: dict[str, list[str]] = {}

        async def well() -> bool:
            nonlocal found
            found = told(await examine(settings, timeout_sec=SECONDS))
            return found == {}

        await wait_until(well, budget_seconds=60, describe=lambda: f"nothing to mend, but {found}")
        report = await examine(settings, timeout_sec=SECONDS)
    # No gateway answers here, so its check has no finding.
    declared = {(one.group, one.name) for one in CHECKS} - {("gateway", "refused")}
    assert {(one.group, one.check) for one in report.diagnoses} >= declared
    assert not any(one.mend for one in report.diagnoses if one.health is Health.OK)


async def configs(settings: Settings, **changed: str) -> None:
    async with kafka_admin(settings) as client:
        await set_configs(
            client, {settings.topics.raw: {name.replace("_", "."): value for name, value in changed.items()}}
        )


async def retention_short(settings: Settings) -> None:
    await configs(settings, retention_ms="3600000")


async def retention_by_size(settings: Settings) -> None:
    await configs(settings, retention_bytes="1000000")


async def stamped_ahead(settings: Settings) -> None:
    await configs(settings, message_timestamp_type="CreateTime")

    async def ahead() -> bool:
        async with make_producer(settings) as producer:
            stamp = time.time_ns() // 1_000_000 + 50_000
            sent = await producer.send_and_wait(settings.topics.raw, event(0), partition=0, timestamp_ms=stamp)
        return bool(sent.timestamp == stamp)

    await wait_until(ahead, budget_seconds=20, describe="a record with the producer's own time")


async def unread(settings: Settings) -> None:
    await produce(settings, [event(number) for number in range(4)])


async def braked(settings: Settings) -> None:
    await trip_by_operator(settings.dsn, settings.group, "to be safe")


async def paused(settings: Settings) -> None:
    await start_pause(settings.dsn, PauseKind.PARTITION, f"{settings.topics.raw}:0", "a hot key")


def sql(*statements: str) -> Callable[[Settings], Awaitable[None]]:
    async def breaks(settings: Settings) -> None:
        await execute(settings.dsn, *statements)

    return breaks


LEDGER = (
    "INSERT INTO bridge_event_raw (raw_topic, raw_partition, raw_offset, record_time, received_at, retry_count,"
    " next_retry_at, first_failed_at, last_error, error_class, normalized)"
    " VALUES ('t', 0, 0, now(), now(), 1, now() - interval '{ago}', now(), 'e', 'unknown_script', false)"
)

# A fault, and exactly the checks that must report it.
BROKEN: dict[str, tuple[Callable[[Settings], Awaitable[None]], dict[str, str]]] = {
    "retention": (retention_short, {"topics": "fail: {raw}: retention.ms is 3600000", "retention": "fail: {raw} keeps 1 h"}),
    "retention by size": (retention_by_size, {"retention": "warn: {raw} also has a size limit"}),
    "a record from the future": (
        stamped_ahead,
        {"topics": "fail: {raw}: message.timestamp.type is CreateTime", "Kafka's clock": "fail: "},
    ),
    "a schema behind": (
        sql("DELETE FROM schema_migration WHERE version = 2"),
        {"schema": "fail: migration 0002_gate_state.sql: not applied"},
    ),
    "a view dropped": (sql("DROP VIEW kpi_7d"), {"schema": "fail: view kpi_7d: missing"}),
    "a newer schema": (
        sql("INSERT INTO schema_migration VALUES (9999, '9999_later.sql', 'x')"),
        {"schema": "warn: migration 9999_later.sql: applied, but"},
    ),
    "a month missing": (
        sql("DO $$ BEGIN EXECUTE format('DROP TABLE bridge_event_%s', to_char(now() + '1 month', 'YYYY_MM')); END $$"),
        {"months": "fail: partition bridge_event_"},
    ),
    "read-only": (
        sql("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$"),
        {"writable": "fail: transactions are read-only"},
    ),
    "commits that may be lost": (
        sql("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET synchronous_commit = off', current_database()); END $$"),
        {"durable": "warn: synchronous_commit is off"},
    ),
    "retries long overdue": (sql(LEDGER.format(ago="10 minutes")), {"retries": "fail: 1 waiting, 1 past their time"}),
    "the brake on": (braked, {"brake": "fail: on since "}),
    "a partition paused": (paused, {"pauses": "warn: partition {raw}:0 since "}),
    "a site that fails": (
        sql("INSERT INTO gate_state (target, passed, change) VALUES ('site:7', false, '{}'), ('site:8', true, '{}')"),
        {"gate": "warn: 1 target fails since "},
    ),
    "retries overdue": (sql(LEDGER.format(ago="100 seconds")), {"retries": "warn: 1 waiting, 1 past their time"}),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
async def test_what_is_broken_is_named(settings: Settings, name: str) -> None:
    """Only its own check reports the fault, next to the warning about missing workers."""
    breaks, expected = BROKEN[name]
    await breaks(settings)

    async def said() -> bool:
        found = told(await examine(settings, timeout_sec=SECONDS), but=("workers",))
        return found.keys() == expected.keys() and all(
            found[check][0].startswith(line.format(raw=settings.topics.raw)) for check, line in expected.items()
        )

    async def last() -> str:
        return str(told(await examine(settings, timeout_sec=SECONDS)))

    try:
        await wait_until(said, budget_seconds=60, describe="exactly what is broken")
    except AssertionError as error:
        raise AssertionError(await last()) from error


async def test_loss_is_told_until_it_is_acknowledged(settings: Settings) -> None:
    """The finding names the command that acknowledges the loss."""
    raw = settings.topics.raw
    await produce(settings, [event(0), event(1)])
    await execute(
        settings.dsn,
        "INSERT INTO stream_offset (group_id, topic, partition, base_offset, next_offset, lost)"
        f" VALUES ('{settings.group}', '{raw}', 0, 0, 1, 1)",
    )
    report = await examine(settings, timeout_sec=SECONDS)
    (loss,) = [one for one in report.diagnoses if one.check == "loss"]
    assert (loss.health, loss.found) == (Health.FAIL, f"{raw}:0: 1 records were deleted before they were read")
    assert loss.mend.endswith(f"`bridge audit --acknowledge-lost {raw}:0`")

    await execute(settings.dsn, "UPDATE stream_offset SET lost_acknowledged = lost")
    assert "loss" not in told(await examine(settings, timeout_sec=SECONDS))


async def test_lag_is_told_by_age(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Recent records are no lag; records older than the bound are, also in partitions without an offset."""
    await produce(settings, [event(number) for number in range(4)])
    assert "lag" not in told(await examine(settings, timeout_sec=SECONDS))
    monkeypatch.setattr(stream, "LAG_WARN", 0.0)
    assert told(await examine(settings, timeout_sec=SECONDS))["lag"][0].startswith("warn: 4 unread; in 2 partitions")
    monkeypatch.setattr(stream, "LAG_FAIL", 0.0)
    assert told(await examine(settings, timeout_sec=SECONDS))["lag"][0].startswith("fail: 4 unread; in 2 partitions")


async def test_a_long_transaction_is_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The finding names its backend and how to end it."""
    monkeypatch.setattr(postgres, "LONG_SECONDS", 0.0)
    conn = await asyncpg.connect(settings.dsn, server_settings={"application_name": "somebody's report"})
    try:
        await conn.execute("BEGIN")
        report = await examine(settings, timeout_sec=SECONDS)
        found = [one for one in report.diagnoses if one.check == "transactions" and "somebody's report" in one.found]
        assert [one.health for one in found] == [Health.WARN]
        assert f"pg_terminate_backend({conn.get_server_pid()})" in found[0].mend
    finally:
        await conn.close()


async def test_an_account_with_little(settings: Settings, stack: StackAddresses) -> None:
    """Its connection limit and its missing privileges are reported; the other checks run over few connections."""
    admin = as_admin(stack, settings.dsn)
    name = f"least_{secrets.token_hex(4)}"
    await execute(admin, f"CREATE ROLE {name} LOGIN PASSWORD 'least' CONNECTION LIMIT {CONNECTIONS}")
    await execute(settings.dsn, f"GRANT SELECT ON schema_migration TO {name}")
    try:
        place = urlsplit(settings.dsn)
        url = place._replace(netloc=f"{name}:least@{place.hostname}:{place.port}").geturl()
        found = told(await examine(Settings(**(settings.model_dump() | {"database_url": url})), timeout_sec=SECONDS))
        assert found["connections"][0].startswith("warn: ")
        assert any(f"role {name}: lacks " in line for line in found["privileges"])
        assert not {
            "server",
            "writable",
            "durable",
            "schema",
            "months",
            "Postgres's clock",
            "sessions",
            "transactions",
        } & set(found)
    finally:
        await execute(admin, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


POSTGRES = {
    "server", "sessions", "transactions", "schema", "retention", "Postgres's clock", "lag", "retries", "brake", "pauses", "gate",
    "backup",
}  # fmt: skip
KAFKA = {"cluster", "topics", "in sync", "retention", "Kafka's clock", "workers", "lag"}


@pytest.mark.parametrize(
    ("changed", "failing"),
    [
        ({"database_url": f"postgresql://nobody@{NOWHERE}/none"}, POSTGRES),
        ({"kafka_bootstrap_servers": NOWHERE}, KAFKA),
        ({"kafka_bootstrap_servers": NOWHERE, "database_url": f"postgresql://nobody@{NOWHERE}/none"}, KAFKA | POSTGRES),
        ({"database_url": ""}, POSTGRES | {"names"}),
    ],
    ids=["Postgres", "Kafka", "both", "not set"],
)
async def test_a_service_that_is_away_fails_its_own_checks(
    settings: Settings, changed: dict[str, Any], failing: set[str]
) -> None:
    """Checks of other services are not affected."""
    away = Settings(**(settings.model_dump() | changed))
    found = told(await examine(away, timeout_sec=SECONDS), but=("workers",) if failing is POSTGRES else ())
    found.pop("workers", None)
    assert set(found) == failing - {"workers"}
    assert all(line.startswith("fail: ") for lines in found.values() for line in lines)


async def test_services_that_never_answer_take_bounded_time(settings: Settings) -> None:
    """A port that accepts connections and doesn't answer ends its checks after the time-out."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        hanging = {"kafka_bootstrap_servers": place, "database_url": f"postgresql://nobody@{place}/none"}
        started = time.monotonic()
        report = await examine(Settings(**(settings.model_dump() | hanging)), timeout_sec=1.0)
        assert time.monotonic() - started < 15
    assert {"no answer within 1 s"} == {one.found for one in report.diagnoses if one.check in POSTGRES | KAFKA}


def test_the_command(settings: Settings) -> None:
    """0 with warnings, 1 with a failure, 3 with invalid settings; JSON by its schema, otherwise a line per finding."""
    environment = {
        "BRIDGE_KAFKA_BOOTSTRAP_SERVERS": settings.brokers,
        "BRIDGE_DATABASE_URL": settings.dsn,
        "BRIDGE_TOPIC_PREFIX": settings.topic_prefix,
        "BRIDGE_TOPIC_PARTITIONS": "2",
        "BRIDGE_RETRY_DELAYS": "100ms,300ms",
        "BRIDGE_GROUP": settings.group,
    }
    done = bridge("doctor", "--json-output", "-", settings=environment)
    document = json.loads(done.stdout)
    jsonschema.validate(document, DoctorReport.model_json_schema())
    failures = [one for one in document["diagnoses"] if one["health"] == "fail" and one["group"] != "disk"]
    assert failures == []
    assert done.returncode == (document["health"] == "fail")

    broken = bridge("doctor", settings=environment | {"BRIDGE_KAFKA_BOOTSTRAP_SERVERS": NOWHERE, "BRIDGE_LANE": "1"})
    lines = broken.stdout.decode().splitlines()
    assert broken.returncode == 1
    (away,) = (line for line in lines if line.startswith("fail  kafka ") and "does not answer" in line)
    assert away.startswith("fail  kafka     cluster")
    assert away.endswith(
        "correct that, then run `bridge doctor` again; likewise topics, in sync, retention, Kafka's clock, workers, lag"
    )
    assert any(line.startswith("warn  settings  variables") and "BRIDGE_LANES?" in line for line in lines)
    assert {line[:4] for line in lines[:-1]} <= {"ok  ", "warn", "fail"}
    assert b"Unable" not in broken.stderr
    assert bridge("doctor", settings=environment | {"BRIDGE_LANES": "many"}).returncode == 3
