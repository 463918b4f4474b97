"""The Postgres sink: one connection for each lane (a worker's task that commits the batches of some partitions).

The connection is opened when it is needed, and closed after any failure.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import asyncpg
import structlog

from schemas.errors import BridgeError, RowRejected, SinkUnavailable
from schemas.instants import instant
from schemas.kafka.headers import bounded_text
from schemas.pipeline.breaker import BreakerCause, BreakerState, Passing
from schemas.pipeline.ledger import LedgerState, Scope, Waiting
from schemas.pipeline.log_identity import KnownLog, LogMark
from schemas.pipeline.outcome import Candidate, Outcomes
from schemas.pipeline.record import Provenance, TopicPartition
from sinks.commit_rules import first_of_each_key
from sinks.ports import CommitResult, Rejected
from sinks.postgres.breaker.state import let_go, read_breaker, trip_breaker
from sinks.postgres.connection import (
    APPLICATION_PREFIX,
    GONE,
    LOOK_SECONDS,
    Connection,
    close,
    connect,
    is_gone,
    looking,
    worker_name,
)
from sinks.postgres.errors import KEPT, TIMED_OUT, TRANSLATED, translate
from sinks.postgres.ledger.rows import provenance_columns, state_and_body, state_of, waiting
from sinks.postgres.records import partition_of, provenance_of
from sinks.postgres.statements import sql
from sinks.postgres.transaction import KEYS, settle_in_transaction, write_events

OPERATION_SECONDS = 60.0
"""The time limit of an operation, in seconds, after which the connection is closed.

Queries have no time-out of their own.
"""

SILENT_LOOKS = 2
"""After this number of checks in a row without an answer, the server counts as silent. After fewer it may be slow."""

KEPT_SECONDS = 10.0
"""How long an operation waits for a lock, over all its tries, before `end_blocking_sessions` ends the holder's session.
In seconds."""
_KEPT_LOOK_SECONDS = 0.5
"""The interval of checks after KEPT_SECONDS, in seconds.

It is shorter than Postgres' deadlock time-out, because other sessions can cause deadlocks.
"""

DUE_BYTES = 16 * 1024 * 1024
"""How many bytes of waiting events' bodies are read at once, unless a single one has more."""

MOST_SITES = 10_000
"""How many sites are read at most. A worker's account may write any number of rows."""

PASSING_SECONDS = 2.0
"""The time limit of the question whose events pass, in seconds. A batch waits for the answer."""
_WITHIN = ("window", "day", "quiet")

CONTESTED_SECONDS = 60.0
"""How long a lane expects that other lanes insert the keys of its events, after one did. In seconds."""

log = structlog.get_logger(__name__)


class PostgresSink:
    """The access to Postgres of one lane (a worker's task that commits batches). `lock_timeout` is in seconds."""

    def __init__(self, dsn: str, group: str, *, lock_timeout: float = 5.0) -> None:
        self._dsn = dsn
        self._group = group
        self._lock_timeout = lock_timeout
        self._opened: Connection | None = None
        self._pid = 0
        # For each operation that timed out on a lock, by its description: when its first try began.
        self._kept_since: dict[str, float] = {}
        # The connection that holds the lock of `keep_claims`.
        self._keeping: Connection | None = None
        self._contested_until = 0.0
        self.silent = False

    async def logs(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, KnownLog]:
        async with self._working("reading the stored facts about logs") as conn:
            found = [known_log(row) for row in await conn.fetch(sql("offsets_logs"), *_columns(partitions))]
        return {known.log.in_kafka: known for known in found}

    async def claim(
        self, beginnings: Mapping[TopicPartition, int], cluster: str | None = None
    ) -> dict[TopicPartition, int]:
        columns = (*_columns(list(beginnings)), list(beginnings.values()))
        async with self._working("claiming partitions") as conn:
            rows = await conn.fetch(sql("offsets_claim"), self._group, *columns, worker_name(), cluster)
        return {partition_of(row): row["next_offset"] for row in rows}

    async def hold(self, source: TopicPartition, why: str) -> None:
        async with self._working("recording a paused partition") as conn:
            await conn.execute(sql("offsets_hold"), self._group, *source, bounded_text(why))

    async def lose(self, source: TopicPartition, beginning: int) -> int:
        async with self._working("recording a loss") as conn, conn.transaction():
            before = await conn.fetch(sql("offsets_lock"), self._group, *_columns([source]))
            await conn.execute(sql("offsets_lose"), self._group, *source, beginning)
        return max(0, beginning - int(before[0]["next_offset"])) if before else 0

    async def stored(self, sources: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        async with self._working("reading offsets") as conn:
            rows = await conn.fetch(sql("offsets_peek"), self._group, *_columns(sources))
        return {partition_of(row): row["next_offset"] for row in rows}

    async def ledger(self, provenances: Sequence[Provenance], *, bodies: bool = False) -> dict[Provenance, LedgerState]:
        if not provenances:
            return {}
        async with self._working("reading the ledger") as conn:
            rows = await conn.fetch(sql("ledger_read"), *provenance_columns(list(provenances)), bodies)
        state = state_and_body if bodies else state_of
        return {provenance_of(row): state(row) for row in rows}

    async def due(self, now_ms: int, scope: Scope, limit: int) -> list[Waiting]:
        async with self._working("reading the events that are due") as conn:
            rows = await conn.fetch(sql("ledger_due"), instant(now_ms), *scope, limit, DUE_BYTES)
        return [waiting(row) for row in rows]

    async def keep_claims(self) -> bool:
        async with self._working("locking claims against changes") as conn:
            await conn.execute(sql("claims_keep"))
            self._keeping = self._opened
        return True

    async def release_claims(self) -> bool:
        kept, self._keeping = self._keeping, None
        # If that connection was closed meanwhile, the lock is released already.
        if kept is not None and kept is self._opened:
            async with self._working("releasing claims") as conn:
                if self._opened is kept:
                    await conn.execute(sql("claims_release"))
        return True

    async def commit(self, outcomes: Sequence[Outcomes]) -> CommitResult:
        async with self._working("committing a batch") as conn:
            contested = time.monotonic() < self._contested_until
            try:
                async with conn.transaction():
                    return await settle_in_transaction(conn, self._group, outcomes, contested=contested)
            except asyncpg.UniqueViolationError as error:
                if error.constraint_name != KEYS:
                    raise
            # Copies of these events are in partitions of other lanes. More of them are probably next.
            self._contested_until = time.monotonic() + CONTESTED_SECONDS
            async with conn.transaction():
                return await settle_in_transaction(conn, self._group, outcomes, contested=True)

    async def rejected(self, outcomes: Sequence[Outcomes]) -> list[Rejected]:
        winners, _ = first_of_each_key(outcomes)
        found: list[Rejected] = []
        async with self._working("searching for the refused row") as conn:
            outer = conn.transaction()
            await outer.start()
            try:
                await self._halve(conn, list(winners.values()), found)
            finally:
                await outer.rollback()
        return found

    async def _halve(self, conn: Connection, candidates: list[Candidate], found: list[Rejected]) -> None:
        """Find the rows that Postgres refuses, by bisection, in a transaction that the caller rolls back.

        Accepted rows stay until the rollback, so that a row that conflicts with another row is found too.
        """
        try:
            async with conn.transaction():
                await write_events(conn, candidates)
        except RowRejected as error:
            if len(candidates) == 1:
                found.append(Rejected(candidates[0], str(error)))
                return
            middle = len(candidates) // 2
            await self._halve(conn, candidates[:middle], found)
            await self._halve(conn, candidates[middle:], found)

    async def brake(self) -> BreakerState:
        async with self._working("reading the circuit breaker") as conn:
            return await read_breaker(conn, self._group)

    async def passing(self, window_seconds: float, quiet_seconds: float) -> Passing | None:
        async with self._working("reading whose events pass") as conn:
            try:
                async with conn.transaction():
                    await conn.execute(f"SET LOCAL statement_timeout = {int(PASSING_SECONDS * 1000)}")
                    rows = await conn.fetch(sql("passing"), window_seconds, MOST_SITES, self._group, quiet_seconds)
            except asyncpg.QueryCanceledError:
                return None
        found = {within: frozenset(row["site_id"] for row in rows if row["within"] == within) for within in _WITHIN}
        return Passing(found["window"], found["day"], bool(found["quiet"]))

    async def engage(self, cause: BreakerCause) -> BreakerState:
        async with self._working("tripping the circuit breaker") as conn:
            return await trip_breaker(conn, self._group, worker_name(), cause, by_hand=False)

    async def probed(self, *, passed: bool) -> bool:
        async with self._working("recording a probe of the circuit breaker") as conn:
            await conn.execute(sql("breaker_probed"), self._group)
            return passed and await let_go(conn, self._group, worker_name())

    async def close(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            await close(opened)

    aclose = close
    """The name by which `contextlib.aclosing` closes a sink."""

    @asynccontextmanager
    async def _working(self, doing: str) -> AsyncIterator[Connection]:
        """Yield the lane's connection; translate errors, and close the connection unless the error is a refused row."""
        cut: list[SinkUnavailable] = []
        since = self._kept_since.pop(doing, time.monotonic())
        timer = asyncio.get_running_loop().call_later(OPERATION_SECONDS, self._cut, doing, cut)
        watch: asyncio.Task[None] | None = None
        try:
            if self._opened is None or self._opened.is_closed():
                self._opened = await connect(self._dsn, "lane")
                # Behind a pooler the process id that the driver knows is the pooler's.
                self._pid = await self._opened.fetchval("SELECT pg_backend_pid()")
                # A plan that is made while a table is almost empty must not scan it whole when it has grown. What runs
                # for a connection that was closed must not run on.
                await self._opened.execute(
                    f"SET lock_timeout = {int(self._lock_timeout * 1000)}; SET enable_seqscan = off;"
                    f"SET client_connection_check_interval = {int(LOOK_SECONDS * 1000)}"
                )
            watch = asyncio.create_task(self._watch(self._opened, doing, since, cut))
            yield self._opened
        except BridgeError as error:
            self._note_kept(doing, since, error)
            if not isinstance(error, RowRejected):
                await self.close()
            raise
        except TRANSLATED as error:
            self._note_kept(doing, since, error)
            await self.close()
            if cut:
                raise cut[0] from error
            raise translate(error, doing) from error
        except BaseException:
            self.abandon()
            raise
        finally:
            timer.cancel()
            if watch is not None:
                watch.cancel()
            self.silent = False

    def _note_kept(self, doing: str, since: float, error: Exception) -> None:
        if getattr(error, "sqlstate", None) in KEPT:
            self._kept_since[doing] = since

    def _cut(self, doing: str, cut: list[SinkUnavailable]) -> None:
        problem = f"{doing}: no answer from Postgres within {OPERATION_SECONDS:.0f} s"
        # If the server answers checks, this counts like Postgres' own time-out: a batch too large for one commit is
        # halved.
        cut.append(SinkUnavailable(problem, sqlstate=None if self.silent else TIMED_OUT))
        if self._opened is not None:
            self._opened.terminate()

    def abandon(self) -> None:
        # After a cancellation the protocol's state is unknown, and a server that has stopped answers no rollback.
        opened, self._opened = self._opened, None
        if opened is not None:
            opened.terminate()

    async def _watch(self, watched: Connection, doing: str, since: float, cut: list[SinkUnavailable]) -> None:
        """Check the connection's session while an operation waits for Postgres.

        The connection is closed if the server no longer has its session. Sessions that block the operation are ended:

        - a session of another worker, if it is stalled;
        - a session of another account, if its transaction is older than a minute, or if the operation has waited
          KEPT_SECONDS since its first try.

        If the server answers no check, `silent` is set, and the operation keeps waiting.
        """
        patience, pid, unanswered = self._lock_timeout / 2, self._pid, 0
        while True:
            kept = time.monotonic() - since > KEPT_SECONDS
            await asyncio.sleep(min(patience, _KEPT_LOOK_SECONDS if kept else LOOK_SECONDS))
            try:
                async with looking(self._dsn) as conn:
                    if await is_gone(conn, watched, pid):
                        cut.append(SinkUnavailable(f"{doing}: {GONE}"))
                        watched.terminate()
                        return
                    rows = await conn.fetch(sql("end_blockers"), pid, f"{APPLICATION_PREFIX} lane ", patience)
                    holders = await conn.fetch(sql("end_lock_holders"), pid, time.monotonic() - since)
            except (SinkUnavailable, RowRejected) as error:
                log.warning("session_check_failed", error=str(error))
                # A server that refuses the connection with an error has answered.
                unanswered = 0 if error.sqlstate else unanswered + 1
                self.silent = unanswered >= SILENT_LOOKS
                if unanswered == SILENT_LOOKS:
                    log.warning("postgres_unresponsive", doing=doing)
                continue
            unanswered, self.silent = 0, False
            for row in rows:
                log.warning("stalled_session_ended", pid=row["pid"], ended=row["ended"], waiting_pid=pid)
            for row in holders:
                log.warning("lock_holder_ended", pid=row["pid"], role=row["role"], ended=row["ended"], waiting_pid=pid)


def known_log(row: "asyncpg.Record") -> KnownLog:
    """Convert a row of the query `offsets_logs` to what is stored of a partition's log."""
    mark = None
    if row["last_offset"] is not None:
        mark = LogMark(row["last_offset"], row["last_digest"], row["last_timestamp"])
    return KnownLog(partition_of(row), row["next_offset"], mark, row["cluster_id"])


def _columns(sources: Sequence[TopicPartition]) -> tuple[list[str], list[int]]:
    return [source.topic for source in sources], [source.partition for source in sources]
