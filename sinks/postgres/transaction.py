"""The commit transaction: it locks rows, then writes ledger, keys, events, gate windows and offsets, in this order.

The ledger has a row for each event whose first attempt failed. Keys detect duplicates. Gate windows are counts by
minute.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

import asyncpg

from schemas.errors import RowRejected, SinkUnavailable
from schemas.events.bridge_event import BridgeEvent
from schemas.instants import instant, now_ms
from schemas.kafka.headers import bounded_text
from schemas.pipeline.outcome import Candidate, Failure, Normalized, Outcomes, duplicate
from schemas.pipeline.record import LEDGER_TOPIC, Provenance, TopicPartition
from schemas.pipeline.sender import Sender, sender_named
from sinks.commit_rules import (
    check_offsets,
    check_tokens,
    first_of_each_key,
    ledger_touched,
    logged,
    progress,
    replays,
    tally,
)
from sinks.ports import CommitResult
from sinks.postgres import binary_rows, copy_encoder
from sinks.postgres.connection import Connection
from sinks.postgres.dedup.key_claims import first_claims, second_claims
from sinks.postgres.errors import NO_MONTH, TRANSLATED, UNENCODABLE, lacks_month, translate
from sinks.postgres.gate.windows import add_to_windows
from sinks.postgres.ledger import rows as ledger
from sinks.postgres.ledger.rows import provenance_columns, state_of
from sinks.postgres.schema.monthly_partitions import needed
from sinks.postgres.statements import sql
from sinks.senders import count_senders, only_sender, without_replays
from sinks.windows import count_windows

SENDERS = list(Sender)
KEYS = "bridge_event_key_pkey"
"""The constraint that a dedup key is in the key table only once."""
EVENT_COLUMNS = BridgeEvent.__struct_fields__
_NO_MARK = (None, None, None)


async def settle_in_transaction(
    connection: Connection, group: str, outcomes: Sequence[Outcomes], *, contested: bool = False
) -> CommitResult:
    """Write the outcomes of one or several batches, all or none; the caller opens and ends the transaction.

    `contested` says that other transactions insert the same dedup keys at this time. Otherwise such a transaction
    raises asyncpg.UniqueViolationError with the constraint KEYS.
    """
    await _lock_offsets(connection, group, outcomes)
    await _lock_ledger(connection, outcomes)
    winners, copies = first_of_each_key(outcomes)
    only = only_sender(winners.values())
    taken = await claim_keys(connection, winners, only, contested=contested)
    late = [duplicate(winners.pop(one.key)) for one in taken] + [duplicate(copy) for copy in copies]
    normalized = list(winners.values())
    failures = [failure for one in outcomes for failure in one.failures] + late
    await _write_ledger(connection, normalized, failures)
    await _settle_replays(connection, outcomes)
    await write_events(connection, normalized)
    windows = count_windows(normalized, failures)
    await add_to_windows(connection, windows)
    rows = progress(outcomes, late)
    read = [
        (*row.source, row.next_offset, *row.counts, *(row.mark or _NO_MARK))
        for row in rows
        if row.source.topic != LEDGER_TOPIC
    ]
    if read:
        await connection.execute(sql("offsets_advance"), group, *map(list, zip(*read, strict=True)))
    fresh = without_replays(normalized, outcomes)
    replayed = len(normalized) - len(fresh)
    return CommitResult(tally(rows), failures, list(winners), windows, count_senders(fresh, only), replayed)


async def _lock_offsets(connection: Connection, group: str, outcomes: Sequence[Outcomes]) -> None:
    sources = [batch.source for batch in logged(outcomes)]
    rows = await connection.fetch(
        sql("offsets_lock"), group, [source.topic for source in sources], [source.partition for source in sources]
    )
    check_offsets({TopicPartition(row["topic"], row["partition"]): row["next_offset"] for row in rows}, outcomes)


async def _lock_ledger(connection: Connection, outcomes: Sequence[Outcomes]) -> None:
    touched, replayed = ledger_touched(outcomes), replays(outcomes)
    if not (touched or replayed):
        return
    rows = await connection.fetch(sql("ledger_lock"), *provenance_columns(sorted({*touched, *replayed})))
    states = {Provenance(row["raw_topic"], row["raw_partition"], row["raw_offset"]): state_of(row) for row in rows}
    check_tokens(states, touched, replayed)


async def claim_keys(
    connection: Connection, winners: dict[bytes, Candidate], only: Sender | None, *, contested: bool = False
) -> list[Candidate]:
    """Insert the dedup key of each candidate (event to persist); return the candidates that are duplicates.

    `only` is the sender class of all candidates, None if there are several classes. `contested` is that of
    `settle_in_transaction`.
    """
    if not winners:
        return []
    latest = max(candidate.received_at for candidate in winners.values())
    plain, others = first_claims(winners, only)
    if contested:
        claimed = await _insert_keys(connection, sql("keys_claim"), plain, latest, only)
        # A holder that is gone by now counts as one of the event's own class, so that no event is without a key.
        held = {key: plain[key].sender for key in claimed} | await key_holders(connection, claimed)
    else:
        # Checking every key first and then inserting takes half the time of an insert with ON CONFLICT.
        held = await key_holders(connection, plain)
        free = {key: one for key, one in plain.items() if key not in held} if held else plain
        await _insert_keys(connection, sql("keys_insert"), free, latest, only)
    if not (held or others):
        return []
    holders = {key: candidate.sender for key, candidate in plain.items()} | held
    slots, duplicates = second_claims([*(plain[key] for key in held), *others], holders)
    taken = set(await _insert_keys(connection, sql("keys_claim"), slots, latest, None))
    superseding = [one for key, one in slots.items() if one.shared and key not in taken]
    if superseding:
        sites, ids = [one.site_id for one in superseding], [one.event_id for one in superseding]
        places = provenance_columns([one.provenance for one in superseding])
        await connection.execute(sql("events_supersede"), sites, ids, *places)
    return duplicates + [slots[key] for key in taken]


async def _insert_keys(
    connection: Connection, statement: str, claims: Mapping[bytes, Candidate], latest: datetime, only: Sender | None
) -> list[bytes]:
    """Insert dedup keys by the statement; return the keys that it reports as held by other events.

    The keys are inserted in a fixed order, so that two transactions don't wait for each other's keys.
    """
    if not claims:
        return []
    keys = sorted(claims)
    senders = [claims[key].sender for key in keys] if only is None else [only]
    rows = await connection.fetch(statement, b"".join(keys), latest, bytes(map(SENDERS.index, senders)), SENDERS)
    return [row["event_key"] for row in rows]


async def key_holders(connection: Connection, keys: Collection[bytes]) -> dict[bytes, Sender | None]:
    """Return those of these dedup keys that persisted events have, each with the sender class of its event."""
    rows = await connection.fetch(sql("keys_holders"), b"".join(sorted(keys))) if keys else []
    return {row["event_key"]: sender_named(row["sender"]) for row in rows}


async def _write_ledger(connection: Connection, normalized: list[Candidate], failures: list[Failure]) -> None:
    first = [failure for failure in failures if failure.attempt.number == 1]
    later = [failure for failure in failures if failure.attempt.number > 1]
    healed = [one.provenance for one in normalized if one.number > 1]
    try:
        if first:
            records = list(map(ledger.row, first))
            await connection.copy_records_to_table("bridge_event_raw", records=records, columns=ledger.COLUMNS)
        if later:
            await connection.execute(sql("ledger_advance"), *_advance_columns(later))
        if healed:
            await connection.execute(sql("ledger_heal"), *provenance_columns(healed))
    except TRANSLATED as error:
        # The ledger accepts every event. A refused row is a defect of the code or the table, and must not be retried
        # forever.
        problem = translate(error, "writing the ledger")
        raise SinkUnavailable(str(problem)) if isinstance(problem, RowRejected) else problem from error


def _advance_columns(failures: list[Failure]) -> tuple[Sequence[object], ...]:
    return (
        *provenance_columns([failure.attempt.provenance for failure in failures]),
        [failure.attempt.number - (failure.dropped_reason is not None) for failure in failures],
        [None if failure.due_at_ms is None else instant(failure.due_at_ms) for failure in failures],
        [bounded_text(failure.error) for failure in failures],
        [failure.error_class.value for failure in failures],
        [None if failure.dropped_reason is None else failure.dropped_reason.value for failure in failures],
        [failure.sender for failure in failures],
        [failure.site_id for failure in failures],
        [None if failure.script_id is None else bounded_text(failure.script_id) for failure in failures],
    )


async def _settle_replays(connection: Connection, outcomes: Sequence[Outcomes]) -> None:
    settled = replays(outcomes)
    if settled:
        successors = [str(successor) for _, successor in settled.values()]
        await connection.execute(sql("replays_settle"), *provenance_columns(list(settled)), successors)


async def write_events(connection: Connection, normalized: Sequence[Candidate]) -> None:
    """Write the events of the candidates by COPY; raises RowRejected when Postgres refuses one of the events.

    A month without a partition is an outage if workers will create the partition. Otherwise its event is refused: it
    has waited in the ledger until its month was removed, or its ledger row is forged.
    """
    if not normalized:
        return
    events = [one.event for one in normalized if isinstance(one, Normalized)]
    if len(events) == len(normalized):
        source, options = copy_encoder.parts(events), copy_encoder.OPTIONS
    else:
        source, options = binary_rows.parts(normalized), binary_rows.OPTIONS
    try:
        await connection.copy_to_table("bridge_event", source=source, columns=EVENT_COLUMNS, **options)
    except (asyncpg.PostgresError, *UNENCODABLE) as error:
        months = {one.received_at.date().replace(day=1) for one in normalized} if lacks_month(error) else set()
        if gone := sorted(months.difference(needed(instant(now_ms()).date(), ahead=1))):
            # The first may have its partition. The search for the refused row tries each event alone.
            why = f"writing events: no partition of bridge_event, and none to come, for {gone[0]:%Y-%m}"
            raise RowRejected(why, sqlstate=NO_MONTH) from error
        raise translate(error, "writing events") from error
