"""One whole dropped event, and its lives.

A life is one passage of an event through the stream: the original record, or one replay. The lives of an event are the
dead letters that it is a replay of, the event itself, and the replays of it.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from schemas.documents.dead_letter_filter import DeadLetterFilter
from schemas.pipeline.record import Provenance
from schemas.reasons import DroppedReason
from sinks.postgres.connection import Connection
from sinks.postgres.dead_letters.filter import exactly, query
from sinks.postgres.dead_letters.letter import WholeDeadLetter, whole_of
from sinks.postgres.dead_letters.reading import reading
from sinks.postgres.records import named
from sinks.postgres.statements import sql

MOST_LIVES = 1000
"""The longest chain of replays that is followed."""


class State(StrEnum):
    """The state of a life: one passage of an event through the stream, as its original record or as a replay."""

    DROPPED = "dropped"
    WAITING = "waiting"
    NORMALIZED = "normalized"
    UNKNOWN = "unknown"  # no row in the ledger, and none in bridge_event: the partition of its month was dropped


class Life(NamedTuple):
    """A life of an event, which is one passage through the stream: its raw record, and its last attempt.

    `attempt` is the number of the last attempt, and `settled_at` the time when that attempt's outcome was committed. If
    a replay corrected the event's site, its life has another site than the life before.
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
    """A whole dropped event, and all its lives: its original record and its replays, the earliest first."""

    letter: WholeDeadLetter
    lives: list[Life]


async def show(dsn: str, provenance: Provenance, *, org_id: int | None = None) -> Shown | None:
    """Return a dropped event with its lives (its original record and its replays); None if it was not dropped.

    With `org_id`, only events of this organisation are found. The query itself excludes the events of others, so that
    the response time does not show whether such an event exists. Raises SinkUnavailable.
    """
    meant = DeadLetterFilter(
        provenance=(str(provenance),), disposition=None, dropped_reason=tuple(DroppedReason),
        org_ids=None if org_id is None else (org_id,),
    )  # fmt: skip
    async with reading(dsn) as conn:
        row = await conn.fetchrow(*query(sql("dead_letter_show"), meant))
        return None if row is None else Shown(whole_of(row), await _lives(conn, provenance, row))


async def _lives(conn: Connection, provenance: Provenance, row: Any) -> list[Life]:
    met = {provenance}
    before = await _linked(conn, row, "replay_of", met)
    after = await _linked(conn, row, "replayed_as", met)
    return [*reversed(before), _life(provenance, row), *after]


async def _linked(conn: Connection, row: Any, link: str, met: set[Provenance]) -> list[Life]:
    """Return the lives that follow from a row by the column `link`, the nearest first; add them to `met`."""
    lives: list[Life] = []
    named_next, received_at = row[link], row["received_at"]
    while len(met) < MOST_LIVES and (at := _named(named_next)) is not None and at not in met:
        met.add(at)
        found = await _row(conn, at)
        lives.append(_life(at, found) if found is not None else await _event(conn, at, received_at))
        named_next = None if found is None else found[link]
    return lives


def _named(text: str | None) -> Provenance | None:
    """Parse a provenance (topic, partition, offset) in a row's text; None if the text is not a provenance.

    A text that is not a provenance was not written by a replay.
    """
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
    settled = row["outcome_at"]
    return named(Life, row, provenance=provenance, state=state, attempt=tried, settled_at=settled, error=error)


async def _event(conn: Connection, provenance: Provenance, received_at: datetime) -> Life:
    """Return a life (one passage of an event through the stream) whose first attempt succeeded, from the event table.

    Such a life has no row in the ledger of failed events. `received_at` selects the table's monthly partition; a replay
    keeps the `received_at` of the event's original record.
    """
    event = await conn.fetchrow(sql("event_normalized"), received_at, *provenance)
    if event is None:
        return Life(provenance, State.UNKNOWN, None, None, None)
    return Life(
        provenance, State.NORMALIZED, event["attempt"], None, event["normalized_at"],
        site_id=event["site_id"], org_id=event["org_id"],
    )  # fmt: skip
