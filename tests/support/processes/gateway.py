"""A real gateway in its own process, and its clients."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
from aiokafka import AIOKafkaConsumer, ConsumerRecord

from schemas.config.settings import Settings
from sinks.kafka.admin import partitions_of
from support.events.settled import environment_of
from support.processes.command import words
from support.processes.programs import CHECKOUT, environment
from support.wait import wait_until

ORIGIN = "https://shop.example.com"
_START_SECONDS = 40


class Gateway:
    """A running `bridge gateway`; `log` is the file with its output."""

    def __init__(self, process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
        self.process = process
        self.url = url
        self.log = log

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.url.removeprefix("http://").rpartition(":")
        return host, int(port)

    def stop(self, number: int = signal.SIGTERM, seconds: float = 30) -> int:
        """Send the signal and return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)

    def memory_mb(self, *, most: bool = False) -> float:
        """Its resident memory, or with `most` its peak."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:" if most else "VmRSS:")[2].split()[0]) / 1024


@contextmanager
def gateway(settings: Settings, log: Path, *, cold: bool = False, **more: object) -> Iterator[Gateway]:
    """Run a gateway on a free port with these settings and more; kill it at the end if it still runs.

    With `cold` Python starts it, so that its memory is its own.
    """
    with service("gateway", ("gateway",), settings, log, cold=cold, **more) as found:
        yield found


@contextmanager
def service(
    name: str, command: tuple[str, ...], settings: Settings, log: Path, *, cold: bool = False, **more: object
) -> Iterator[Gateway]:
    """Run another listening service in the same way."""
    given = {f"BRIDGE_{one.upper()}": str(value) for one, value in more.items()}
    port = given.setdefault(f"BRIDGE_{name.upper()}_PORT", "0")
    own = environment_of(settings, BRIDGE_LOG_FORMAT="json", **given)
    with log.open("ab") as output:
        process = subprocess.Popen(
            words(*command, cold=cold), env=environment(own), cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=output, start_new_session=True,
        )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline().decode()
        assert line.startswith(f"{name} http://"), f"port {port}: {log.read_text()[-2000:]}"
        found = Gateway(process, line.split()[1], log)
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                httpx.get(f"{found.url}/health", timeout=2)
                break
            except httpx.HTTPError:
                assert process.poll() is None, log.read_text()[-2000:]
                assert time.monotonic() < deadline, f"the {name} does not answer"
        yield found
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


def bearer(credential: str) -> dict[str, str]:
    """Make the Authorization header with a credential."""
    return {"authorization": f"Bearer {credential}"}


def body(*events: object) -> bytes:
    """Make a batch as JSON."""
    return json.dumps(list(events)).encode()


async def raw_records(settings: Settings, kept: Callable[[ConsumerRecord], Any] = lambda record: record) -> list[Any]:
    """Read all current records of the raw topic, by partition and offset; `kept` maps each one."""
    partitions = await partitions_of(settings, [settings.topics.raw])
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.brokers, enable_auto_commit=False, group_id=None, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[tuple[int, int, Any]] = []

        async def whole() -> bool:
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                found.extend((record.partition, record.offset, kept(record)) for record in batch)
            return all([await consumer.position(one) >= end for one, end in ends.items()])

        await wait_until(whole, budget_seconds=60, describe=lambda: f"the raw topic, have {len(found)}")
        return [one for *_, one in sorted(found, key=lambda one: one[:2])]
    finally:
        await consumer.stop()


@asynccontextmanager
async def raw_connection(place: tuple[str, int]) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Open a plain connection, for bytes that no HTTP client sends."""
    reader, writer = await asyncio.open_connection(*place)
    try:
        yield reader, writer
    finally:
        writer.close()


async def next_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read the next response of a connection; return its status and its body."""
    async with asyncio.timeout(30):
        said = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in said.split(b"\r\n") if line.startswith(b"content-length:")).partition(b":")[2]
        return int(said.split(b" ", 2)[1]), await reader.readexactly(int(length))


def free_port() -> int:
    """Choose a port without a listener."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
