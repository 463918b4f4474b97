"""One Kafka node (broker and controller) on the loopback address."""

import base64
import signal
import socket
import struct
import subprocess
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bridge.dev.stack.jars import KAFKA
from bridge.dev.stack.java import find_java
from bridge.dev.stack.ports import LOOPBACK
from bridge.dev.stack.private import close_tree, write_private
from bridge.dev.stack.process import Launch, pick_decisive
from schemas.errors import PreconditionFailed

STOP_SIGNAL = int(signal.SIGTERM)
_LOG4J = Path(__file__).with_name("log4j2.properties")
_FORMAT_SECONDS = 60

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=CLIENT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=CLIENT://{host}:{port}
listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=CLIENT
log.dirs={logs}
auto.create.topics.enable=false
num.partitions=1
default.replication.factor=1
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# A killed broker can only join again when its old session has expired.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=1000
# The default of 128 MiB is a quarter of the heap, and is meant for much larger topics.
log.cleaner.dedupe.buffer.size=16777216
"""


@dataclass(frozen=True)
class JavaTuning:
    """Settings of the Java virtual machine. The defaults start quickly and use little memory."""

    heap: str = "512m"
    first_tier_only: bool = True

    def flags(self) -> list[str]:
        """Return the flags of the Java virtual machine."""
        tier = ["-XX:TieredStopAtLevel=1"] if self.first_tier_only else []
        return [f"-Xmx{self.heap}", "-XX:+UseSerialGC", *tier, "-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError"]


@dataclass(frozen=True)
class KafkaNode:
    """A Kafka node whose files are all under `home`."""

    home: Path
    log: Path
    port: int
    controller_port: int
    tuning: JavaTuning

    @property
    def address(self) -> str:
        """Return the bootstrap address for clients."""
        return f"{LOOPBACK}:{self.port}"

    def prepare(self, progress: Callable[[str], None]) -> Launch:
        """Write the configuration, format new storage, and return the launch."""
        java, jars = find_java(), KAFKA.class_path(progress)
        scratch = self.home / "tmp"
        for directory in (self.home, scratch, self.log.parent):
            directory.mkdir(parents=True, exist_ok=True)
        close_tree(self.home)
        properties = self.home / "server.properties"
        write_private(properties, self._properties())
        words = [
            str(java),
            *self.tuning.flags(),
            f"-Djava.io.tmpdir={scratch}",
            f"-Dlog4j2.configurationFile={_LOG4J}",
            "-cp",
            ":".join(map(str, jars)),
        ]
        if not (self._logs / "meta.properties").exists():
            progress("formatting Kafka's storage")
            self._format(words, properties)
        return Launch(
            argv=[*words, "kafka.Kafka", str(properties)], cwd=self.home, log=self.log, stop_signal=STOP_SIGNAL
        )

    @property
    def _logs(self) -> Path:
        return self.home / "logs"

    def _properties(self) -> str:
        return _PROPERTIES.format(host=LOOPBACK, port=self.port, controller_port=self.controller_port, logs=self._logs)

    def _cluster_id(self) -> str:
        # Kafka parses an id that begins with a dash as an option.
        return base64.urlsafe_b64encode(b"\x10" + uuid.uuid4().bytes[1:]).decode().rstrip("=")

    def _format(self, words: list[str], properties: Path) -> None:
        cluster = ["--cluster-id", self._cluster_id()]
        argv = [*words, "kafka.tools.StorageTool", "format", *cluster, "--config", str(properties)]
        try:
            done = subprocess.run(  # noqa: S603 - a command of this program, no shell
                argv,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                cwd=self.home,
                check=False,
                timeout=_FORMAT_SECONDS,
                start_new_session=True,
                umask=0o077,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PreconditionFailed(f"can't format Kafka's storage with {words[0]}: {error}") from error
        if done.returncode != 0:
            reason = pick_decisive((done.stdout + done.stderr).splitlines())
            raise PreconditionFailed(f"can't format Kafka's storage in {self.home}: {reason}")

    def ready(self, _pid: int) -> bool:
        """Return whether the cluster's metadata lists the broker as live, so that topics can be created."""
        try:
            with socket.create_connection((LOOPBACK, self.port), timeout=2) as connection:
                return _live_brokers(connection) > 0
        except (OSError, struct.error):
            return False


def _live_brokers(connection: socket.socket) -> int:
    """Request the cluster's metadata without topics (API key 3, version 1); returns the number of live brokers."""
    body = struct.pack(">hhih", 3, 1, 1, -1) + struct.pack(">i", 0)
    connection.sendall(struct.pack(">i", len(body)) + body)
    # The response begins with its length, the correlation id, and the number of brokers.
    _, _, brokers = struct.unpack(">iii", _read_exactly(connection, 12))
    return int(brokers)


def _read_exactly(connection: socket.socket, size: int) -> bytes:
    read = b""
    while len(read) < size:
        more = connection.recv(size - len(read))
        if not more:
            raise ConnectionError("closed in the middle of an answer")
        read += more
    return read
