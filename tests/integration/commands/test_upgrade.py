"""The upgrade from the last release: `bridge doctor --upgrade` names all that a start refuses; nothing is lost."""

import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from ruamel.yaml import YAML
from support.events.settled import environment_of, settings_for
from support.infrastructure.accounts import account, execute
from support.infrastructure.databases import as_admin, create_database, drop_database, run_apart
from support.processes.command import bridge

from bridge.dev.stack import StackAddresses
from bridge.doctor.examine import examine
from bridge.doctor.upgrade import judge_webhook, upgrade_checks
from schemas.config.environment import unknown_variables
from schemas.config.service import PROCESSES, Service
from schemas.config.settings import Settings
from schemas.documents.doctor_report import Health
from schemas.errors import StartRefused
from sinks.kafka.topics import apply_topics
from sinks.postgres.runs.history import note_end, show_run
from sinks.postgres.schema.migrate import migrate, migrations
from sinks.postgres.schema.monthly_partitions import make_partitions
from sinks.postgres.statements import sql
from streams.startup_checks import ready

LAST_RELEASE = Path(__file__).resolve().parents[2] / "support" / "last_release"
LAST_MIGRATION = 9
ALLOWED = ("loopback", "plaintext_kafka", "plaintext_postgres", "few_replicas")
STRONG = "93f1c07be2a85d4610fc7b3e9d2a8645"
KEPT = (
    "org",
    "site",
    "script",
    "script_token",
    "api_token",
    "script_run",
    "replay",
    "bridge_event_key",
    "bridge_event_raw",
    "stream_offset",
)


def given_by(place: str, service: Service) -> dict[str, str]:
    """The variables of a service in the last release's template, without the secrets."""
    load = YAML(typ="safe", pure=True)
    if place == "compose":
        found = load.load(LAST_RELEASE / "docker-compose.yml")["services"][service]["environment"]
        # With compose's defaults for variables that .env doesn't set.
        return {name: re.sub(r"\$\{\w+:-(.*?)\}", r"\1", str(value)) for name, value in found.items()}
    (deployment, *_) = load.load_all(LAST_RELEASE / "kubernetes" / f"{service}.yaml")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    return {one["name"]: one["value"] for one in container["env"]}


@pytest.fixture
def last_release(stack: StackAddresses) -> Iterator[str]:
    """The URL of a database as the last release leaves it, owned by a superuser."""
    name = f"last_{secrets.token_hex(4)}"
    url = as_admin(stack, create_database(stack, name))

    async def fill() -> None:
        conn = await asyncpg.connect(url)
        try:
            await conn.execute(sql("migrations_table"))
            for one in migrations()[:LAST_MIGRATION]:
                await conn.execute(one.text)
                await conn.execute(
                    "INSERT INTO schema_migration (version, name, checksum) VALUES ($1, $2, $3)",
                    one.version, one.name, one.checksum,
                )  # fmt: skip
            await make_partitions(url, conn, 2)
            await conn.execute((LAST_RELEASE / "rows.sql").read_text())
        finally:
            await conn.close()

    try:
        run_apart(fill())
        yield url
    finally:
        drop_database(stack, name)


@pytest.fixture
def former_account(last_release: str) -> Iterator[str]:
    """The one account of all services, with every grant that the last release asked for and no ownership."""
    with account(last_release, None, guarded=False) as url:
        role = url.split("//")[1].split(":")[0]
        run_apart(
            execute(last_release, f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
        )
        yield url


def installed(place: str, service: Service, stack: StackAddresses, url: str, prefix: str, **more: Any) -> Settings:
    """A service's settings of the last release, on this machine's servers."""
    given = {name.lower().removeprefix("bridge_"): value for name, value in given_by(place, service).items()}
    own = {"env": "production", "production_allow": ALLOWED, "secret_key": STRONG, "start_timeout": "5s"}
    here = settings_for(stack.kafka, url, prefix, **(own | more))
    # Addresses, secrets and names that the template leaves open are set here.
    return Settings(**(given | {name: getattr(here, name) for name in here.model_fields_set}))


async def refused(settings: Settings, service: Service) -> set[str]:
    """The lines of a start's refusal."""
    try:
        await ready(settings, service)
    except StartRefused as refusal:
        return set(refusal.lines)
    return set()


async def named(settings: Settings, service: Service, health: Health = Health.FAIL) -> dict[str, str]:
    """The doctor's findings before the upgrade, with their remedies."""
    report = await examine(settings, timeout_sec=30, checks=upgrade_checks([service]))
    return {one.found: one.mend for one in report.diagnoses if one.health is health}


WEAK: dict[str, Any] = {
    "secret_key": "abcdefgh" * 4,
    "worker_alert_webhook": "http://alerts.internal/hook",
    "worker_alert_webhook_secret": "whsec_",
}


@pytest.mark.parametrize(("place", "service"), list(product(("compose", "kubernetes"), PROCESSES)))
async def test_what_a_start_refuses_was_named(
    place: str, service: Service, stack: StackAddresses, last_release: str, former_account: str, topic_prefix: str
) -> None:
    """First settings are refused, then the schema, then nothing but missing privileges.

    An account with more grants than needed starts, with a warning for one release.
    """
    assert unknown_variables(given_by(place, service)) == []
    strong = installed(place, service, stack, former_account, topic_prefix)
    weak = installed(place, service, stack, former_account, topic_prefix, **WEAK)
    await apply_topics(strong)

    told = await named(weak, service)
    lines = await refused(weak, service)
    assert len(lines) == len(WEAK)
    assert lines == {f"{found}: {mend}" for found, mend in told.items()} & lines
    behind = {found for found in told if found.startswith("migration ")}
    assert len(told) == len(lines) + len(behind) + sum("will lack" in found for found in told)

    # With correct settings exactly these migrations are missing.
    told = await named(strong, service)
    (line,) = await refused(strong, service)
    assert {
        f"migration {name}: not applied" for name in line.split(" migrations ")[1].split(": ")[0].split(", ")
    } == behind
    later = {found.replace("will lack", "lacks").split(", which")[0] for found in told if "will lack" in found}
    assert set(told) - behind == {found for found in told if "will lack" in found}

    await migrate(last_release)
    assert await refused(strong, service) == {
        f"the database differs from what this release needs: {one}" for one in later
    }
    warned = await named(strong, service, Health.WARN)
    assert any(
        "INSERT" in one and one.endswith(" on api_token, which it does not need; refused from 0.2.0") for one in warned
    )


@pytest.mark.parametrize("service", PROCESSES)
async def test_an_account_of_its_own_is_refused_nothing(
    service: Service, stack: StackAddresses, last_release: str, topic_prefix: str
) -> None:
    """After the migration and with exactly the needed grants, neither doctor nor start objects."""
    await migrate(last_release)
    with account(last_release, service) as url:
        settings = installed("kubernetes", service, stack, url, topic_prefix)
        await apply_topics(settings)
        assert await named(settings, service) == {}
        assert await named(settings, service, Health.WARN) == {}
        assert await refused(settings, service) == set()


async def test_a_superuser_is_told_for_one_release(stack: StackAddresses, last_release: str, topic_prefix: str) -> None:
    """A superuser, as in the last release's compose file, starts; the doctor warns that the next release refuses it."""
    await migrate(last_release)
    settings = installed("compose", Service.GATEWAY, stack, last_release, topic_prefix)
    await apply_topics(settings)
    assert await refused(settings, Service.GATEWAY) == set()
    (found,) = await named(settings, Service.GATEWAY, Health.WARN)
    assert found.endswith("is a superuser; refused from 0.2.0")


async def test_rows_of_the_last_release_stay(last_release: str) -> None:
    """All rows stay, and the API's account can end a run that began before the upgrade."""

    async def rows() -> dict[str, list[Any]]:
        conn = await asyncpg.connect(last_release)
        try:
            return {name: [dict(row) for row in await conn.fetch(f"SELECT * FROM {name}")] for name in KEPT}
        finally:
            await conn.close()

    before = await rows()
    await migrate(last_release)
    after = await rows()
    for name in KEPT:
        assert before[name]
        for old, new in zip(before[name], after[name], strict=True):
            assert old.items() <= new.items(), name
    with account(last_release, Service.API) as url:
        ended = datetime(2026, 7, 2, tzinfo=UTC)
        await note_end(url, "r2", "dlq-replay", (ended, ended), 0, "{}")
        found = await show_run(url, "r2")
        assert (found.started_by, found.ended_at) == ("me@host", ended)


@pytest.mark.parametrize(
    ("changed", "health"),
    [
        ({}, "ok"),
        ({"worker_alert_webhook": "https://alerts/x"}, "warn"),
        ({"worker_alert_webhook": "https://alerts/x", "worker_alert_webhook_secret": "whsec_x"}, "ok"),
    ],
)
def test_receivers_of_the_old_secret_are_named(changed: dict[str, Any], health: str) -> None:
    """The check warns if a webhook has no secret of its own."""
    assert judge_webhook(Settings(secret_key=STRONG, **changed)).health == health


def test_the_command_tells_all_and_takes_services(stack: StackAddresses, last_release: str, topic_prefix: str) -> None:
    """Exit code 1 while something is refused, in production each pending migration."""
    settings = installed("compose", Service.WORKER, stack, last_release, topic_prefix)
    given = environment_of(settings, BRIDGE_ENV="production", BRIDGE_SECRET_KEY="abcdefgh" * 4)
    done = bridge("doctor", "--upgrade", "--service", "gateway", settings=given)
    told = done.stdout.decode()
    assert done.returncode == 1, done.stderr
    assert "BRIDGE_SECRET_KEY is not random; make one" in told
    assert "migration 0013_history.sql: not applied; run `bridge db migrate`" in told
    assert "gateway" in told
    assert "is a superuser; refused from 0.2.0" in told
    assert bridge("doctor", "--service", "gateway", "--service", "api", settings=given).returncode == 3
