"""One whole dropped event, and its lives: the dead letters that it replays, and the results of its own replays."""

from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from schemas.documents.dead_letter_filter import DeadLetterFilter
from schemas.pipeline.record import Provenance
from schemas.reasons import DroppedReason
from sinks.postgres.connection import Connection
from sinks.postgres.dead_letters.filter import conditions, exactly
from sinks.postgres.dead_letters.letter import WholeDeadLetter, whole_of
from sinks.postgres.dead_letters.reading import reading
from sinks.postgres.statements import sql

MOST_LIVES = 1000
"""The longest chain of replays that is followed."""


class State(StrEnum):
    """The state of a life."""

    DROPPED = "dropped"
    WAITING = "waiting"
    NORMALIZED = "normalized"
    UNKNOWN = "unknown"  # neither in the ledger nor an event any more: its month was dropped


class Life(NamedTuple):
    """One passage of an event through the stream: its raw record, and its last attempt.

    `attempt` is the last one that was made. `settled_at` is when it was committed. A correction may have moved a life
    to another site than those before it.
    """

    provenance: Provenance
    state: State
    attempt: int | None
    first_failed_at: datetime | None
    settled_at: datetime | None
    dropped_reason: str | None = None
    error: str | None = None
    disposition: str | None = None
    site_id: int | None = None
    org_id: int | None = None


class Shown(NamedTuple):
    """A whole dropped event, among its lives from the first to the last."""

    letter: WholeDeadLetter
    lives: list[Life]


async def show(dsn: str, provenance: Provenance, *, org_id: int | None = None) -> Shown | None:
    """Return the dropped event, of one organisation or of all; None if it is not dropped. Raises SinkUnavailable.

    Another organisation's is not read, so that it takes as long as a missing one.
    """
    meant = DeadLetterFilter(
        provenance=(str(provenance),), disposition=None, dropped_reason=tuple(DroppedReason),
        org_ids=None if org_id is None else (org_id,),
    )  # fmt: skip
    found = conditions(meant)
    async with reading(dsn) as conn:
        row = await conn.fetchrow(found.within(sql("dead_letter_show")), *found.parameters)
        return None if row is None else Shown(whole_of(row), await _lives(conn, provenance, row))


async def _lives(conn: Connection, provenance: Provenance, row: Any) -> list[Life]:
    received_at = row["received_at"]
    lives = [_life(provenance, row)]
    met = {provenance}
    before = row["replay_of"]
    while len(lives) < MOST_LIVES and (at := _named(before)) is not None and at not in met:
        met.add(at)
        earlier = await _row(conn, at)
        lives.insert(0, _life(at, earlier) if earlier is not None else await _event(conn, at, received_at))
        before = None if earlier is None else earlier["replay_of"]
    after = row["replayed_as"]
    while len(lives) < MOST_LIVES and (at := _named(after)) is not None and at not in met:
        met.add(at)
        later = await _row(conn, at)
        lives.append(_life(at, later) if later is not None else await _event(conn, at, received_at))
        after = None if later is None else later["replayed_as"]
    return lives


def _named(text: str | None) -> Provenance | None:
    """Return the dead letter that a row names; None if no replay wrote the text."""
    try:
        return None if text is None else Provenance.parse(text)
    except ValueError:
        return None


async def _row(conn: Connection, provenance: Provenance) -> Any:
    found = exactly(provenance)
    return await conn.fetchrow(found.within(sql("dead_letter_show")), *found.parameters)


def _life(provenance: Provenance, row: Any) -> Life:
    tried = row["retry_count"] + (1 if row["normalized"] else 0)
    state = State.WAITING if not row["normalized"] else State.DROPPED if row["dropped_reason"] else State.NORMALIZED
    error = None if state is State.NORMALIZED else row["last_error"]
    return Life(
        provenance, state, tried, row["first_failed_at"], row["outcome_at"], row["dropped_reason"], error,
        row["disposition"], row["site_id"], row["org_id"],
    )  # fmt: skip


async def _event(conn: Connection, provenance: Provenance, received_at: datetime) -> Life:
    """Return a life without a ledger row: it normalised at first. A replay keeps the first life's `received_at`."""
    event = await conn.fetchrow(sql("event_normalized"), received_at, *provenance)
    if event is None:
        return Life(provenance, State.UNKNOWN, None, None, None)
    return Life(
        provenance, State.NORMALIZED, event["attempt"], None, event["normalized_at"],
        site_id=event["site_id"], org_id=event["org_id"],
    )  # fmt: skip
