"""Nothing in plaintext: a worker under production's guards on Kafka by SASL and TLS, and Postgres by TLS."""

import asyncio
import secrets
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from support.command import words
from support.programs import environment
from support.settled import event, prepare, produce, settings_for
from support.tls import Certificates, certificates, secured_kafka, secured_postgres
from support.wait import wait_until

from bridge.doctor.examine import examine
from bridge.stack.ports import LOOPBACK
from schemas.doctor_report import Health
from schemas.errors import StartRefused
from schemas.settings import Settings
from sinks.topics_admin import check_topics
from streams.start import ready

pytestmark = pytest.mark.timeout(170)
USER, PASSWORD = "bridge", secrets.token_hex(8)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority and a server's certificate."""
    return certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def secured_url(database_url: str, made: Certificates) -> AsyncIterator[str]:
    """The database by TLS, under an account with a password, with the server's certificate verified."""
    conn = await asyncpg.connect(database_url)
    role, password = f"tls_{secrets.token_hex(4)}", secrets.token_hex(8)
    await conn.execute(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{password}'")
    place = urlsplit(database_url)
    try:
        async with secured_postgres(place.hostname or "", place.port or 0, made) as port:
            yield place._replace(
                netloc=f"{role}:{password}@{LOOPBACK}:{port}", query=f"sslmode=verify-full&sslrootcert={made.authority}"
            ).geturl()
    finally:
        await conn.execute(f"DROP ROLE {role}")
        await conn.close()


async def test_production_without_plaintext(
    secured_url: str, topic_prefix: str, made: Certificates, tmp_path: Path
) -> None:
    """An event comes through; the doctor finds it sound; a wrong password, authority or protocol is refused."""
    with secured_kafka(tmp_path, made, USER, PASSWORD) as kafka:
        settings = settings_for(
            kafka, secured_url, topic_prefix,
            env="production", production_allow=("loopback", "few_replicas"), secret_key=secrets.token_hex(32),
            kafka_security_protocol="SASL_SSL", kafka_sasl_mechanism="PLAIN", kafka_sasl_username=USER,
            kafka_sasl_password=PASSWORD, kafka_ssl_cafile=str(made.authority), start_timeout="1s",
        )  # fmt: skip

        async def up() -> bool:
            try:
                return bool(await check_topics(settings))
            except Exception:  # noqa: BLE001  # whatever a Kafka that starts answers
                return False

        await wait_until(up, budget_seconds=60, describe=lambda: (tmp_path / "kafka.log").read_text()[-2000:])
        await prepare(settings)
        await produce(settings, [event(0)])
        await _settled_by_a_worker(settings, tmp_path / "worker.log")
        report = await examine(settings, timeout_sec=30)
        bad = [one for one in report.diagnoses if one.health is Health.FAIL and one.group != "disk"]
        assert bad == []
        for wrong in (
            {"kafka_sasl_password": "wrong-" + PASSWORD},
            {"kafka_ssl_cafile": None},
            {"kafka_security_protocol": "SSL"},
            {"database_url": secured_url.partition("&sslrootcert")[0].replace("verify-full", "verify-ca")},
        ):
            with pytest.raises(StartRefused, match="Postgres is away" if "database_url" in wrong else "Kafka"):
                await ready(Settings(**(settings.model_dump() | wrong)))


async def _settled_by_a_worker(settings: Settings, told: Path) -> None:
    secret, sasl = settings.secret_key, settings.kafka_sasl_password
    assert secret is not None
    assert sasl is not None
    given = {
        "BRIDGE_ENV": "production",
        "BRIDGE_PRODUCTION_ALLOW": "loopback,few_replicas",
        "BRIDGE_SECRET_KEY": secret.get_secret_value(),
        "BRIDGE_KAFKA_BOOTSTRAP_SERVERS": settings.brokers,
        "BRIDGE_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "BRIDGE_KAFKA_SASL_MECHANISM": "PLAIN",
        "BRIDGE_KAFKA_SASL_USERNAME": USER,
        "BRIDGE_KAFKA_SASL_PASSWORD": sasl.get_secret_value(),
        "BRIDGE_KAFKA_SSL_CAFILE": settings.kafka_ssl_cafile or "",
        "BRIDGE_DATABASE_URL": settings.dsn,
        "BRIDGE_TOPIC_PREFIX": settings.topic_prefix,
        "BRIDGE_GROUP": settings.group,
        "BRIDGE_TOPIC_PARTITIONS": "2",
        "BRIDGE_RETRY_DELAYS": "100ms,300ms",
    }
    conn = await asyncpg.connect(settings.dsn)
    with told.open("wb") as log:
        worker = subprocess.Popen(words("worker"), env=environment(given), stdout=log, stderr=log)
    try:
        await wait_until(
            lambda: conn.fetchval("SELECT count(*) = 1 FROM bridge_event"),
            budget_seconds=60,
            describe=lambda: told.read_text()[-3000:],
        )
        worker.terminate()
        assert await asyncio.to_thread(worker.wait, 30) == 0
    finally:
        worker.kill()
        worker.wait(10)
        await conn.close()
