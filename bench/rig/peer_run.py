"""One run of a peer, from an empty table with the rows of the month before, to its last row."""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from bench.peers.catalogue import Peer
from bench.peers.environment import peers_python
from bench.peers.place import Place
from bench.rig import earlier, product, stand
from bench.rig.usage import Cost, Parties, Usage

TABLE = Path(__file__).parents[1] / "peers" / "peer_event.sql"
LOOK_SECONDS = 0.05
START_SECONDS = 120.0
STILL_SECONDS = 0.75
"""When the table has not grown for so long, its rows are counted; if some are missing, next after twice as long."""
PATIENCE_SECONDS = 40.0
"""When the table has not grown for so long, no more rows are expected."""


class PeerFailed(Exception):
    """A peer failed; the end of its output is on standard error."""


@dataclass(frozen=True)
class PeerRun:
    """New rows and seconds between the first one and the last, and the CPU and memory that they took.

    `ended` is whether it came to an end by itself.
    """

    rows: int
    seconds: float
    cpu_seconds: Cost
    peak_mb: float
    ended: bool


def environment_of(url: str) -> dict[str, str]:
    """Return this process's environment with the password of the URL."""
    return os.environ | {"PGPASSWORD": urlsplit(url).password or ""}


async def run(peer: Peer, one: stand.Stand, topic: str, expected: int, most_seconds: float) -> PeerRun:
    """Let the peer write the topic's events; `expected` rows are new."""
    dsn = one.addresses.database_url
    connection = await asyncpg.connect(dsn)
    await product.clear(connection)
    await connection.execute(TABLE.read_text())
    await earlier.fill_peer(dsn)
    with tempfile.TemporaryDirectory(prefix="bridge-peer-") as directory, tempfile.TemporaryFile() as log:
        place = Place(Path(directory), one.addresses.kafka, dsn, topic, peers_python())
        root = str(Path(__file__).parents[2])
        environment: Mapping[str, str] = environment_of(dsn) | {"PYTHONPATH": root, "PEER_DIRECTORY": directory}
        process = subprocess.Popen(peer.command(place), cwd=directory, env=environment, stdout=log, stderr=log)
        try:
            watch = _Watch(connection, Parties([Usage(process.pid)], one.servers))
            return await watch.run(expected, most_seconds)
        except BaseException:
            log.seek(0)
            sys.stderr.write(log.read().decode()[-4000:])
            raise
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            await connection.execute("DROP TABLE peer_event")
            await connection.close()


class _Watch:
    """Observes the table: measures from its first new pages to its last ones."""

    def __init__(self, connection: asyncpg.Connection, parties: Parties) -> None:
        self._connection = connection
        self._parties = parties
        self._size = 0
        self._grown = 0.0

    async def run(self, expected: int, most_seconds: float) -> PeerRun:
        """Observe until the peer has written the rows, stands still, or has taken the most seconds."""
        before = await self._rows()
        self._size = await self._pages()
        if not await self._until(lambda now, grown: grown, START_SECONDS):
            raise PeerFailed(f"wrote nothing within {START_SECONDS:.0f} s")
        self._parties.begin()
        started = self._grown
        still, ended = STILL_SECONDS, False
        while not ended:
            left = started + most_seconds - time.perf_counter()
            if not await self._until(lambda now, _, still=still: now > self._grown + still, left):  # type: ignore[misc]
                break
            ended = await self._rows() - before >= expected or still > PATIENCE_SECONDS
            still *= 2
        self._parties.end()
        rows = await self._rows() - before
        seconds = (self._grown if ended else time.perf_counter()) - started
        return PeerRun(rows, seconds, self._parties.cpu_seconds, self._parties.peak_mb, ended)

    async def _until(self, met: Callable[[float, bool], bool], seconds: float) -> bool:
        """Look at the table until the condition is met; False if it was not within the seconds."""
        deadline = time.perf_counter() + seconds
        while (now := time.perf_counter()) < deadline:
            self._parties.look()
            size = await self._pages()
            grown = size > self._size
            if grown:
                self._size, self._grown = size, now
            if met(now, grown):
                return True
            if not self._parties.alive():
                raise PeerFailed("ended by itself")
            await asyncio.sleep(LOOK_SECONDS)
        return False

    async def _pages(self) -> int:
        return int(await self._connection.fetchval("SELECT pg_relation_size('peer_event')"))

    async def _rows(self) -> int:
        return int(await self._connection.fetchval("SELECT count(*) FROM peer_event"))
