"""A cheap client that posts prepared bodies over many connections, so that the server limits the rate."""

import asyncio
import multiprocessing
import statistics
import time
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

import uvloop


@dataclass(frozen=True)
class Load:
    """The result; latencies are in seconds, from the time that a request was due."""

    per_second: float
    latencies: list[float]

    def milliseconds(self) -> dict[str, float]:
        cuts = statistics.quantiles(self.latencies, n=100, method="inclusive")
        return {"p50_ms": cuts[49] * 1000, "p99_ms": cuts[98] * 1000, "longest_ms": max(self.latencies) * 1000}


class Connection(asyncio.Protocol):
    """Sends the next body as soon as the last one is answered or, with `apart`, at its time."""

    def __init__(self, requests: list[bytes], first: int, until: float, apart: float) -> None:
        self.requests = requests
        self.next = first
        self.until = until
        self.apart = apart
        self.due = time.perf_counter() + apart * (first % 97) / 97
        self.sent_at = 0.0
        self.rest = b""
        self.latencies: list[float] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.schedule()

    def schedule(self) -> None:
        now = time.perf_counter()
        if self.apart and self.due > now:
            asyncio.get_running_loop().call_later(self.due - now, self.send)
        else:
            self.send()

    def send(self) -> None:
        now = time.perf_counter()
        if now >= self.until:
            self.transport.close()
            return
        self.sent_at = self.due if self.apart else now
        self.due += self.apart
        self.transport.write(self.requests[self.next % len(self.requests)])
        self.next += 1

    def data_received(self, data: bytes) -> None:
        self.rest += data
        head, separator, body = self.rest.partition(b"\r\n\r\n")
        if not separator:
            return
        lower = head.lower()
        start = lower.index(b"content-length:") + 15
        if len(body) < int(lower[start:].split(b"\r\n", 1)[0]):
            return
        if not head.startswith(b"HTTP/1.1 202"):
            raise RuntimeError(self.rest[:300])
        self.rest = b""
        self.latencies.append(time.perf_counter() - self.sent_at)
        self.schedule()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None) if time.perf_counter() >= self.until else self.done.set_exception(
                exc or ConnectionError("closed by the server")
            )


async def _post(url: str, key: str, bodies: list[bytes], connections: int, seconds: float, rate: float) -> Load:
    parts = urlsplit(url)
    head = f"POST {parts.path} HTTP/1.1\r\nhost: {parts.netloc}\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n"
    requests = [f"{head}content-length: {len(body)}\r\n\r\n".encode() + body for body in bodies]
    until = time.perf_counter() + seconds
    begun = time.perf_counter()
    loop = asyncio.get_running_loop()
    made = [
        await loop.create_connection(
            lambda number=number: Connection(requests, number * 131, until, connections / rate if rate else 0),
            parts.hostname,
            parts.port,
        )
        for number in range(connections)
    ]
    await asyncio.gather(*(one.done for _, one in made))
    latencies = [one for _, protocol in made for one in protocol.latencies]
    return Load(len(latencies) / (time.perf_counter() - begun), latencies)


def _apart(pipe: object, *given: object) -> None:
    pipe.send(uvloop.run(_post(*given)))  # type: ignore[attr-defined,arg-type]


def run(url: str, key: str, bodies: list[bytes], connections: int, seconds: float, rate: float = 0) -> Load:
    """Run the load in a process of its own; `rate` is in requests a second of all connections, 0 means unlimited."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=_apart, args=(theirs, url, key, bodies, connections, seconds, rate)
    )
    process.start()
    try:
        if not ours.poll(seconds + 60):
            raise RuntimeError("the load did not end")
        found: Load = ours.recv()
        return found
    finally:
        process.join(10)
