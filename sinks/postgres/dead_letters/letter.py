"""Dropped events as values: one line of a list, and a whole event with its body."""

from collections.abc import Generator, Sequence
from datetime import datetime
from typing import NamedTuple

import asyncpg

from schemas.pipeline.guess import NOTHING, Guess, guess
from schemas.pipeline.record import Provenance, RawBody
from schemas.pipeline.sender import Sender, sender_named
from sinks.cooperative import in_pieces
from sinks.postgres.dead_letters.filter import cause_name
from sinks.postgres.ledger.rows import body
from sinks.postgres.records import named, provenance_of


class DeadLetterLine(NamedTuple):
    """A dropped (dead-lettered) event in a list.

    - `attempt` is the number of the last failed attempt, from 1.
    - `disposition` is None for a duplicate.
    - `replay_of` is set if this event was a replay: it is the dead letter that was replayed. `replayed_as` is the
      record that a replay of this event has sent.
    - `sender` is the sender class; None if the row was written before sender classes existed.
    - Guesses are read from an unreadable body and may be wrong; no filter and no count uses them. `claimed_site_id` is
      the site in such a body, if it differs from `site_id`, the site in the record key.
    """

    provenance: Provenance
    dropped_at: datetime
    dropped_reason: str
    error_class: str
    error: str
    cause: str
    attempt: int
    site_id: int | None
    org_id: int | None
    script_id: str | None
    event_id: str | None
    disposition: str | None
    replay_of: str | None
    replayed_as: str | None
    sender: str | None = None
    guessed_site_id: int | None = None
    guessed_script_id: str | None = None
    claimed_site_id: int | None = None


class WholeDeadLetter(NamedTuple):
    """A dropped event with its times and its raw record's body, byte for byte.

    `discarded_by` is the id of the run of `bridge dlq discard` that discarded the event. `changed_at` is the time of
    the last change of the event's row.
    """

    line: DeadLetterLine
    body: RawBody
    record_time: datetime
    received_at: datetime
    first_failed_at: datetime
    changed_at: datetime
    replay_id: str | None
    discarded_by: str | None


class Whose(NamedTuple):
    """The site, script and event id of a dead letter, as far as they are readable, and the dead letter's cause.

    `sender` is None if the row was written before sender classes existed.
    """

    provenance: Provenance
    cause: str
    site_id: int | None
    event_id: str | None
    script_id: str | None
    sender: Sender | None
    guess: Guess = NOTHING


def whose_of_all(rows: "Sequence[asyncpg.Record]") -> Generator[None, None, list[Whose]]:
    """Yield between pieces of rows, and return each row's identity: the dead letter's site, script and event id."""
    letters: list[Whose] = []
    for piece in in_pieces(rows):
        letters += map(whose_of, piece)
        yield
    return letters


def whose_of(row: "asyncpg.Record") -> Whose:
    """Return the identity (site, script, event id) of the dead letter in a row."""
    return Whose(
        provenance_of(row),
        cause_name(row["cause"]),
        row["site_id"],
        row["event_id"],
        row["script_id"],
        sender_named(row["sender"]),
        guess(row["beginning"]),
    )


def line_of(row: "asyncpg.Record") -> DeadLetterLine:
    """Return the dead letter in a row as a line of a list."""
    guessed = guess(row["beginning"])
    return named(
        DeadLetterLine,
        row,
        provenance=provenance_of(row),
        dropped_at=row["outcome_at"],
        error=row["last_error"],
        cause=cause_name(row["cause"]),
        attempt=row["retry_count"] + 1,
        guessed_site_id=guessed.site_id if row["site_id"] is None else None,
        guessed_script_id=guessed.script_id if row["script_id"] is None else None,
        claimed_site_id=None if row["site_id"] in (None, guessed.site_id) else guessed.site_id,
    )


def whole_of(row: "asyncpg.Record") -> WholeDeadLetter:
    """Return the whole dead letter of a row with all columns."""
    return named(WholeDeadLetter, row, line=line_of(row), body=body(row), changed_at=row["updated_at"])
