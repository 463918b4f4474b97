"""Figures in Postgres as metrics: retries, open dead letters, lost records, gate, breaker, runs, backups and space."""

import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from schemas.documents.run_summary import JOBS
from schemas.pipeline.retention import RetentionKind
from schemas.pipeline.sender import Sender, sender_named
from schemas.reasons import DroppedReason, ErrorClass
from sinks.postgres.backups.ages import BackupAges
from sinks.postgres.breaker.state import read_breaker
from sinks.postgres.connection import connection
from sinks.postgres.runs.history import OF_THE_API
from sinks.postgres.statements import sql
from telemetry import metrics

_REASONS: Final = [one.value for one in DroppedReason]
_MOST_TIERS: Final = 16
"""The most retry tiers that can be set; all later failures of an event have the last one."""
_KINDS: Final = ([one.value for one in ErrorClass], [one.value for one in Sender], _MOST_TIERS, metrics.REPLAY)
_RESULTS = {0: "succeeded", 1: "failed", 2: "partly", 3: "unfit"}


class WaitingRetries(NamedTuple):
    """Events that wait for a retry, with the same sender class, number of failures and class of the last error.

    The sender class of replays is `replay`. They have failed `retry_count` times, or more often if it is _MOST_TIERS. Classes of the last error that are unknown
    to this release count as `other`. Ages are in seconds.
    """

    retry_count: int
    error_class: str
    sender: str | None
    waiting: int
    overdue: int
    overdue_seconds: float
    age_seconds: float


class OpenDeadLetters(NamedTuple):
    """Open dead letters with one reason, or with a reason unknown to this release (`other`).

    The age of the oldest is in seconds.
    """

    dropped_reason: str
    open: int
    age_seconds: float


class Runs(NamedTuple):
    """Runs of one command with one result: how many ended in the last hour, and when the last of them ended."""

    script: str
    exit_code: int
    recent: int
    last_ended: float


class Replays(NamedTuple):
    """Replay plans in one state: their number, and the numbers of dead letters that they contain and have sent."""

    state: str
    replays: int
    planned: int
    sent: int


class Removals(NamedTuple):
    """Rows of one kind that retention has removed: their number, and when the last ones were, in seconds since the epoch."""

    kind: str
    rows: int
    removed_at: float


class State(NamedTuple):
    """One row of `backlog_state`; `partitions_end` is in seconds since the epoch."""

    lost_unacknowledged: int
    unbalanced_partitions: int
    gate_failing: bool
    gate_failing_sites: int
    partitions_end: float | None
    database_bytes: int


class Backlog(NamedTuple):
    """All figures, read at about the same moment. `read_at` is in seconds since the epoch."""

    retries: Sequence[WaitingRetries]
    dead_letters: Sequence[OpenDeadLetters]
    runs: Sequence[Runs]
    replays: Sequence[Replays]
    removals: Sequence[Removals]
    state: State
    brake_engaged: bool
    connections_left: int
    backups: BackupAges
    read_at: float


async def read_backlog(dsn: str, group: str) -> Backlog:
    """Read the backlog from Postgres; raises SinkUnavailable."""
    async with connection(dsn, "metrics") as conn:
        return Backlog(
            [WaitingRetries(*row.values()) for row in await conn.fetch(sql("backlog_retries"), *_KINDS)],
            [OpenDeadLetters(*row.values()) for row in await conn.fetch(sql("backlog_dead_letters"), _REASONS)],
            [Runs(*row.values()) for row in await conn.fetch(sql("backlog_runs"), sorted(JOBS), OF_THE_API)],
            [Replays(*row.values()) for row in await conn.fetch(sql("backlog_replays"))],
            [Removals(*row.values()) for row in await conn.fetch(sql("backlog_removals"), list(RetentionKind))],
            State(*(await conn.fetchrow(sql("backlog_state"))).values()),
            (await read_breaker(conn, group)).engaged,
            (await conn.fetchrow(sql("server_state")))["connections_left"],
            BackupAges(*(await conn.fetchrow(sql("backlog_backups"))).values()),
            time.time(),
        )


def shown(found: Backlog, tier_of: Callable[[str, int], str]) -> metrics.Values:
    """Return the metrics' series. `tier_of` returns the retry tier's name for an error class and number of failures."""
    series: metrics.Values = {
        (metrics.RETRIES_OVERDUE, ()): sum(one.overdue for one in found.retries),
        (metrics.RETRY_OVERDUE_SECONDS, ()): max((one.overdue_seconds for one in found.retries), default=0.0),
        (metrics.OLDEST_RETRY_SECONDS, ()): max((one.age_seconds for one in found.retries), default=0.0),
        (metrics.OLDEST_DEAD_LETTER_SECONDS, ()): max((one.age_seconds for one in found.dead_letters), default=0.0),
        (metrics.LOST_UNACKNOWLEDGED, ()): found.state.lost_unacknowledged,
        (metrics.UNBALANCED, ()): found.state.unbalanced_partitions,
        (metrics.GATE_FAILING, ()): found.state.gate_failing,
        (metrics.GATE_FAILING_SITES, ()): found.state.gate_failing_sites,
        (metrics.BRAKE_ENGAGED, ()): found.brake_engaged,
        (metrics.PARTITIONS_END, ()): found.state.partitions_end or 0.0,
        (metrics.CONNECTIONS_LEFT, ()): found.connections_left,
        (metrics.DATABASE_BYTES, ()): found.state.database_bytes,
        (metrics.BACKUP_NEWEST, ()): found.backups.newest or 0.0,
        (metrics.BACKUP_VERIFIED, ()): found.backups.verified or 0.0,
        (metrics.BACKLOG_READ, ()): found.read_at,
    }
    for waiting in found.retries:
        # A row without a sender class may be a server's event.
        known = sender_named(waiting.sender) or Sender.DIRECT
        sender = metrics.REPLAY if waiting.sender == metrics.REPLAY else known.value
        place = (metrics.RETRIES_WAITING, (tier_of(waiting.error_class, waiting.retry_count), sender))
        series[place] = series.get(place, 0.0) + waiting.waiting
    for letters in found.dead_letters:
        series[metrics.DEAD_LETTERS_OPEN, (letters.dropped_reason,)] = letters.open
    for replays in found.replays:
        series[metrics.REPLAYS, (replays.state,)] = replays.replays
        if replays.state == "running":
            series[metrics.REPLAY_ITEMS, ("planned",)] = replays.planned
            series[metrics.REPLAY_ITEMS, ("sent",)] = replays.sent
    for removals in found.removals:
        series[metrics.REMOVED_ROWS, (removals.kind,)] = removals.rows
        series[metrics.LAST_REMOVAL, (removals.kind,)] = removals.removed_at
    for runs in found.runs:
        series[metrics.RUNS_RECENT, (runs.script, _RESULTS[runs.exit_code])] = runs.recent
        if runs.exit_code == 0:
            series[metrics.RUN_LAST_SUCCESS, (runs.script,)] = runs.last_ended
    return series
