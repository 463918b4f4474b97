"""An authority of our own, certificates that it signs, and what talks TLS by them: a Kafka node, a front for Postgres."""

import asyncio
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge.stack import kafka
from bridge.stack.ports import LOOPBACK, choose

_PLAIN = "listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
_SECURED = """\
listener.security.protocol.map=CLIENT:SASL_SSL,CONTROLLER:PLAINTEXT
sasl.mechanism.inter.broker.protocol=PLAIN
listener.name.client.sasl.enabled.mechanisms=PLAIN
listener.name.client.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
username="{user}" password="{password}" user_{user}="{password}";
ssl.keystore.type=PEM
ssl.keystore.location={keystore}
ssl.truststore.type=PEM
ssl.truststore.location={authority}
"""


@dataclass(frozen=True)
class Certificates:
    """The authority's certificate, and a server's certificate for the loopback address with its key."""

    authority: Path
    certificate: Path
    key: Path


def certificates(directory: Path) -> Certificates:
    """Made by `openssl` in the directory."""
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
def secured_kafka(directory: Path, made: Certificates, user: str, password: str) -> Iterator[str]:
    """The address of a running node; whoever connects shows user and password, and talks TLS."""
    keystore = directory / "keystore.pem"
    keystore.write_text(made.key.read_text() + made.certificate.read_text() + made.authority.read_text())
    secured = _SECURED.format(user=user, password=password, keystore=keystore, authority=made.authority)
    port = choose(asked=None, remembered=None, taken=(), purpose="Kafka")
    controller = choose(asked=None, remembered=None, taken=(port,), purpose="Kafka's controller")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(kafka, "_PROPERTIES", kafka._PROPERTIES.replace(_PLAIN, secured.replace("{", "{{")))
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
    """The port of a front that talks TLS as a Postgres server does; the embedded one is built without it.

    Whoever does not ask for TLS is hung up on.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made.certificate, made.key)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if (await reader.readexactly(8))[4:] != _SSL_REQUEST:
            writer.close()
            return
        writer.write(b"S")
        try:
            await writer.start_tls(context)
        except (OSError, ssl.SSLError):
            writer.close()
            return
        inner_reader, inner_writer = await asyncio.open_connection(host, port)
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer), return_exceptions=True)

    server = await asyncio.start_server(serve, LOOPBACK, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
