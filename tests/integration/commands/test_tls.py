"""No plaintext: a worker under production's guards, with Kafka by SASL and TLS, and Postgres by TLS."""

import asyncio
import secrets
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from pydantic import SecretStr
from support.events.settled import environment_of, event, prepare, produce, settings_for
from support.infrastructure.tls import Certificates, Way, certificates, secured_kafka, secured_postgres
from support.processes.command import words
from support.processes.programs import environment
from support.wait import wait_until

from bridge.dev.stack import StackAddresses
from bridge.dev.stack.ports import LOOPBACK
from bridge.doctor.examine import examine
from schemas.config.service import Service
from schemas.config.settings import Settings
from schemas.documents.doctor_report import Health
from schemas.errors import StartRefused
from sinks.kafka.topics import check_topics
from streams.startup_checks import ready

USER, PASSWORD = "bridge", secrets.token_hex(8)
NO_AUTHORITY = "^Postgres refuses a needed operation at start: .*root certificate file .*; correct the options of BRIDGE_DATABASE_URL$"
GIVEN = {"env", "secret_key"} | {name for name in Settings.model_fields if name.startswith("kafka_s")}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority and a server's certificate."""
    return certificates(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def secured_url(stack: StackAddresses, database_url: str, made: Certificates) -> AsyncIterator[str]:
    """The database by TLS, under an account with a password, with the server's certificate verified."""
    conn = await asyncpg.connect(stack.admin_database_url)
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


@pytest.mark.parametrize(
    "way",
    [
        pytest.param(Way(), id="a password"),
        pytest.param(Way("SCRAM-SHA-512", certificate=True), id="a salted password and a certificate"),
        pytest.param(Way(None, certificate=True), id="a certificate alone"),
    ],
)
async def test_production_without_plaintext(
    secured_url: str, topic_prefix: str, made: Certificates, tmp_path: Path, way: Way
) -> None:
    """An event is persisted and the doctor finds no fault.

    A wrong password, authority, certificate or protocol is refused.
    """
    with secured_kafka(tmp_path, made, USER, PASSWORD, way) as kafka:
        sasl = {"kafka_sasl_mechanism": way.mechanism, "kafka_sasl_username": USER, "kafka_sasl_password": PASSWORD}
        shown = {"kafka_ssl_certfile": str(made.certificate), "kafka_ssl_keyfile": str(made.key)}
        settings = settings_for(
            kafka, secured_url, topic_prefix,
            env="production", production_allow=("loopback", "few_replicas"), secret_key=secrets.token_hex(32),
            kafka_security_protocol=way.protocol, kafka_ssl_cafile=str(made.authority), start_timeout="1s",
            **(sasl if way.mechanism else {}), **(shown if way.certificate else {}),
        )  # fmt: skip

        async def up() -> bool:
            try:
                return bool(await check_topics(settings))
            except Exception:  # noqa: BLE001  # a starting Kafka fails in many ways
                return False

        await wait_until(up, budget_seconds=60, describe=lambda: (tmp_path / "kafka.log").read_text()[-2000:])
        await prepare(settings)
        await produce(settings, [event(0)])
        await _settled_by_a_worker(settings, tmp_path / "worker.log")
        report = await examine(settings, timeout_sec=30)
        bad = [one for one in report.diagnoses if one.health is Health.FAIL and one.group != "disk"]
        assert bad == []
        for wrong in _wrong(settings, way):
            unfit = Settings(**(settings.model_dump() | wrong))
            with pytest.raises(StartRefused, match=NO_AUTHORITY if "database_url" in wrong else "Kafka"):
                await ready(unfit, Service.WORKER)
            told = [one for one in (await examine(unfit, timeout_sec=15)).diagnoses if one.health is Health.FAIL]
            assert {one.group for one in told} >= {"postgres" if "database_url" in wrong else "kafka"}, told
            assert not any(PASSWORD in f"{one.found}{one.mend}" for one in told)


def _wrong(settings: Settings, way: Way) -> list[dict[str, object]]:
    """Settings with one mistake each, which the server must refuse."""
    url = settings.dsn.partition("&sslrootcert")[0].replace("verify-full", "verify-ca")
    wrong: list[dict[str, object]] = [{"kafka_ssl_cafile": None}, {"database_url": url}]
    if way.mechanism:
        wrong += [{"kafka_sasl_password": "wrong-" + PASSWORD}, {"kafka_security_protocol": "SSL"}]
    if way.certificate:
        wrong.append({"kafka_ssl_certfile": None, "kafka_ssl_keyfile": None})
    return wrong


async def _settled_by_a_worker(settings: Settings, told: Path) -> None:
    given = {
        f"BRIDGE_{name.upper()}": value.get_secret_value() if isinstance(value, SecretStr) else str(value)
        for name, value in settings.model_dump(include=GIVEN).items()
        if value is not None
    }
    given |= environment_of(settings, BRIDGE_PRODUCTION_ALLOW=",".join(settings.production_allow))
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
