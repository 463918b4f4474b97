"""A certificate authority, its certificates, and TLS servers with them: a Kafka node, and a front for Postgres."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bridge.dev.stack import kafka
from bridge.dev.stack.ports import LOOPBACK, choose
from support.processes.front import front, lead_on

_PLAIN = "listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
_SECURED = """\
listener.security.protocol.map=CLIENT:{protocol},CONTROLLER:PLAINTEXT
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={authority}
"""
_SASL = """\
sasl.mechanism.inter.broker.protocol={mechanism}
listener.name.client.sasl.enabled.mechanisms={mechanism}
listener.name.client.{name}.sasl.jaas.config=org.apache.kafka.common.security.{module} required \
username="{user}" password="{password}"{users};
"""
# With the listener's prefix: without it Kafka requires no certificate on a SASL listener.
_CLIENTS_TOO = "listener.name.client.ssl.client.auth=required\n"


@dataclass(frozen=True)
class Way:
    """The authentication of clients: by SASL if there is a mechanism, and by a certificate if required."""

    mechanism: str | None = "PLAIN"
    certificate: bool = False

    @property
    def protocol(self) -> str:
        """Kafka's name of the security protocol."""
        return "SASL_SSL" if self.mechanism else "SSL"

    def properties(self, user: str, password: str) -> str:
        """Make the lines of a node's configuration for this authentication, without the protocol."""
        lines = _CLIENTS_TOO if self.certificate else ""
        if self.mechanism:
            plain = self.mechanism == "PLAIN"
            module = "plain.PlainLoginModule" if plain else "scram.ScramLoginModule"
            users = f' user_{user}="{password}"' if plain else ""
            lines += _SASL.format(
                mechanism=self.mechanism, name=self.mechanism.lower(), module=module, user=user, password=password,
                users=users,
            )  # fmt: skip
        return lines


@dataclass(frozen=True)
class Certificates:
    """The authority's certificate, and a server's certificate for the loopback address with its key."""

    authority: Path
    certificate: Path
    key: Path


def certificates(directory: Path) -> Certificates:
    """Make the certificates by `openssl` in the directory."""
    made = Certificates(directory / "authority.pem", directory / "server.pem", directory / "server.key")
    signing = directory / "authority.key"
    extension = directory / "server.ext"
    extension.write_text(f"subjectAltName=IP:{LOOPBACK}\n")
    request = directory / "server.csr"
    _openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=authority",
             "-keyout", str(signing), "-out", str(made.authority))  # fmt: skip
    _openssl(
        "req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=server", "-keyout", str(made.key), "-out", str(request)
    )
    _openssl("x509", "-req", "-in", str(request), "-CA", str(made.authority), "-CAkey", str(signing), "-CAcreateserial",
             "-days", "2", "-extfile", str(extension), "-out", str(made.certificate))  # fmt: skip
    return made


def _openssl(*words: str) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True, timeout=60)


@contextmanager
def secured_kafka(directory: Path, made: Certificates, user: str, password: str, way: Way) -> Iterator[str]:
    """Run a node; yield its address, at which clients need TLS and authentication."""
    keystore = directory / "keystore.pem"
    keystore.write_text(made.key.read_text() + made.certificate.read_text() + made.authority.read_text())
    secured = _SECURED.format(protocol=way.protocol, keystore=keystore, authority=made.authority)
    secured += way.properties(user, password)
    port = choose(asked=None, remembered=None, taken=(), purpose="Kafka")
    controller = choose(asked=None, remembered=None, taken=(port,), purpose="Kafka's controller")
    run = subprocess.run

    def run_with_user(argv: list[str], **options: Any) -> "subprocess.CompletedProcess[str]":
        # SCRAM users are part of the metadata log from its first record on.
        scram = way.mechanism is not None and way.mechanism.startswith("SCRAM")
        more = ["--add-scram", f"{way.mechanism}=[name={user},password={password}]"] if scram else []
        return run([*argv, *more], **options)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(kafka, "_PROPERTIES", kafka._PROPERTIES.replace(_PLAIN, secured.replace("{", "{{")))
        patched.setattr(kafka.subprocess, "run", run_with_user)
        node = kafka.KafkaNode(directory / "kafka", directory / "kafka.log", port, controller, kafka.JavaTuning())
        launch = node.prepare(lambda _line: None)
    with launch.log.open("wb") as log:
        process = subprocess.Popen(launch.argv, cwd=launch.cwd, stdout=log, stderr=log)
    try:
        yield node.address
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


_SSL_REQUEST = (80877103).to_bytes(4, "big")


@asynccontextmanager
async def secured_postgres(host: str, port: int, made: Certificates) -> AsyncIterator[int]:
    """Run a front with Postgres' TLS; yield its port. The embedded Postgres is built without TLS.

    The front closes connections that don't request TLS.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made.certificate, made.key)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (await reader.readexactly(8))[4:] == _SSL_REQUEST:
            writer.write(b"S")
            await writer.start_tls(context)
            await lead_on(reader, writer, host, port)

    async with front(serve) as own:
        yield own
