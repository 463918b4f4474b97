"""The retry reaper, which publishes retry records again that were lost.

They are lost, for example, if a retry topic was emptied or removed.
"""

import logging
import random
from collections.abc import Iterable
from contextlib import aclosing

import structlog

from schemas.config.settings import Settings
from schemas.errors import BridgeError, RunLocked
from schemas.instants import now_ms, to_epoch_ms
from schemas.pipeline.ledger import Scope, Waiting
from schemas.pipeline.outcome import Attempt, Failure
from schemas.pipeline.record import CarriedRecord, TopicPartition
from schemas.reasons import ERRORS, ErrorClass
from sinks.kafka.admin import offsets_since, partitions_of
from sinks.kafka.publisher import publishing
from sinks.postgres.connection import connection
from sinks.postgres.ledger.retry_reaper import note_published, overdue_partitions
from sinks.postgres.offsets.admin import Position, current_positions
from sinks.postgres.runs.history import run_lock
from sinks.postgres.sink import PostgresSink
from streams.pipeline.processor import with_token
from streams.rules.retry_policy import RetryPolicy, retry_policy
from telemetry import metrics

log = structlog.get_logger(__name__)


async def sweep(settings: Settings, *, locked_before: bool = True) -> int | None:
    """Publish retry records of at most `sweep_limit` overdue events again; return how many, None if the lock is held.

    A timer calls this function, and the next call repeats what has failed. A lock admits one worker at a time. A new
    record has the same retry token as the lost one. If the lost record is read after all, the second of the two is
    stale and has no effect. `locked_before` is whether the lock was held at the last call too.
    """
    try:
        async with run_lock(settings.dsn, f"sweep:{settings.group}", "the sweep"):
            return await _sweep(settings)
    except RunLocked as error:
        # Processes that started together may meet. If another account holds the lock for longer, no worker can run: the
        # line names it.
        log.log(logging.WARNING if locked_before else logging.DEBUG, "retry_sweep_locked", error=str(error))
        return None
    except BridgeError as error:
        log.warning("retry_sweep_failed", error=str(error))
    return 0


async def _sweep(settings: Settings) -> int:
    cutoff_ms = now_ms() - round(settings.sweep_after.seconds * 1000)
    overdue = await overdue_partitions(settings.dsn, cutoff_ms)
    if not overdue:
        return 0
    gone = await _copies_gone(settings, overdue, cutoff_ms)
    async with aclosing(PostgresSink(settings.dsn, settings.group)) as sink:
        waiting = await sink.due(cutoff_ms, Scope(partitions=tuple(gone)), settings.sweep_limit)
    if not waiting:
        return 0
    policy = retry_policy(settings, random.random)
    due_ms = now_ms()
    async with publishing(settings) as publisher:
        await publisher.publish([_copy(one, policy, due_ms) for one in waiting])
    # The time is later than the copies' timestamps, so that the next run considers only later records.
    await note_published(settings.dsn, waiting, now_ms())
    metrics.SWEPT.inc(len(waiting))
    log.warning("retries_republished", count=len(waiting), overdue_partitions=sorted(gone))
    return len(waiting)


async def _copies_gone(settings: Settings, overdue: Iterable[int], cutoff_ms: int) -> list[int]:
    """Return the raw partitions whose overdue events have no retry record left to be read.

    A retry record is published before it is due. If a retry topic's partition has been read up to the first record that
    was appended at the cutoff or later, every retry record that was due by the cutoff has been read or never existed.
    This is true also while a retry topic lags, when thousands of events are overdue although no record is lost. Clocks
    may differ by up to a retry topic's delay.
    """
    firsts = await offsets_since(settings, await partitions_of(settings, settings.topics.retries), cutoff_ms)
    async with connection(settings.dsn, "sweep") as conn:
        present = await current_positions(conn, settings.group, list(firsts))
    counts = {topic: sum(place.topic == topic for place in firsts) for topic in settings.topics.retries}
    return [
        number
        for number in sorted(overdue)
        if all(
            count and _read_up_to(present.get(place), firsts[place])
            for topic, count in counts.items()
            for place in [TopicPartition(topic, number % max(1, count))]
        )
    ]


def _read_up_to(stored: Position | None, offset: int) -> bool:
    return stored is not None and stored.held is None and stored.next_offset >= offset


def _copy(waiting: Waiting, policy: RetryPolicy, due_ms: int) -> Failure:
    """Return the event's last failure, from which its lost retry record can be published again.

    The new one is due at `due_ms`, in milliseconds since the epoch.
    """
    # It does no harm if this release does not know the error class: the next attempt sets a new one.
    known = waiting.error_class in ERRORS
    error_class = ErrorClass(waiting.error_class) if known else ErrorClass.UNSUPPORTED_SCHEMA_VERSION
    failed = waiting.attempt - 1
    retry = policy.decide(error_class, failed, due_ms)
    body = waiting.body
    headers = with_token(body.headers, waiting.provenance, failed) if failed > 1 else body.headers
    record = CarriedRecord(*waiting.provenance, to_epoch_ms(waiting.received_at), 1, body.key, body.value, headers)
    first_failed_at_ms = to_epoch_ms(waiting.first_failed_at)
    return Failure(
        Attempt(record, waiting.provenance, failed, waiting.received_at, first_failed_at_ms, 0),
        error_class,
        waiting.error,
        retry_topic=(retry or policy.tiers[-1]).topic,
        due_at_ms=due_ms,
    )
