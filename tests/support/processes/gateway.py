"""A real gateway in a process of its own, and clients that talk to it."""

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
    """A running `bridge gateway`; `log` holds all that it wrote."""

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
        """Sends the signal, and returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(seconds)

    def memory_mb(self, *, most: bool = False) -> float:
        """Its resident memory, or the most that it ever had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:" if most else "VmRSS:")[2].split()[0]) / 1024


@contextmanager
def gateway(settings: Settings, log: Path, **more: object) -> Iterator[Gateway]:
    """Runs it on a free port with these settings and more; killed at the end if the test has not ended it."""
    with service("gateway", ("gateway",), settings, log, **more) as found:
        yield found


@contextmanager
def service(name: str, command: tuple[str, ...], settings: Settings, log: Path, **more: object) -> Iterator[Gateway]:
    """The same for another service that listens."""
    given = {f"BRIDGE_{one.upper()}": str(value) for one, value in more.items()}
    port = given.setdefault(f"BRIDGE_{name.upper()}_PORT", "0")
    own = environment_of(settings, BRIDGE_LOG_FORMAT="json", **given)
    with log.open("ab") as output:
        process = subprocess.Popen(
            words(*command), env=environment(own), cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
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
    """The header that shows a credential."""
    return {"authorization": f"Bearer {credential}"}


def body(*events: object) -> bytes:
    """A batch as JSON."""
    return json.dumps(list(events)).encode()


async def raw_records(settings: Settings, kept: Callable[[ConsumerRecord], Any] = lambda record: record) -> list[Any]:
    """All records of the raw topic now, by partition and offset, or what is kept of each."""
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
    """A plain connection, for what no client would send."""
    reader, writer = await asyncio.open_connection(*place)
    try:
        yield reader, writer
    finally:
        writer.close()


async def next_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The status and the body of the answer that comes next on a connection which may bear others."""
    async with asyncio.timeout(30):
        said = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in said.split(b"\r\n") if line.startswith(b"content-length:")).partition(b":")[2]
        return int(said.split(b" ", 2)[1]), await reader.readexactly(int(length))


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
