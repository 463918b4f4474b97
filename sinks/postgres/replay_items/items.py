"""The items of a replay plan, one for each dead letter: read, claimed, skipped and released.

A claim reserves a dead letter for one replay. It is set by compare-and-set, before the replay is published.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from schemas.documents.replay import DeadLetterItem
from schemas.pipeline.class_key import class_key
from schemas.pipeline.outcome import Claim
from schemas.pipeline.record import Provenance
from schemas.pipeline.sender import Sender, sender_named
from sinks.kafka.replay_publisher import Replayed, sent_digest
from sinks.postgres.connection import Connection
from sinks.postgres.dedup.key_claims import second_key
from sinks.postgres.ledger.rows import body, provenance_columns
from sinks.postgres.records import named, provenance_of
from sinks.postgres.statements import sql
from sinks.postgres.transaction import key_holders

MOST_BYTES: Final = 8 * 1024 * 1024
"""Most bytes of the items that are read together, if there are several."""


async def page_end(
    conn: Connection, replay_id: str, after: int, most: int, added: int, most_bytes: int = MOST_BYTES
) -> int | None:
    """Return the position, in a replay plan, of the last item to read next; None if no item is left.

    An item is a dead letter of the plan. Items are read from after position `after`: at most `most`, and with
    at most `most_bytes` together unless it is one, where `added` is the number of bytes that the plan's correction adds to each.
    """
    position: int | None = await conn.fetchval(sql("replay_reach"), replay_id, after, most, most_bytes, added)
    return position


async def read_items(
    conn: Connection, replay_id: str, after: int, up_to: int, *, max_lives: int, lock: bool = False
) -> list[DeadLetterItem]:
    """Return the items (dead letters) of a replay plan after position `after`, up to and including `up_to`.

    Items whose dead letters are no longer in the ledger are left out. The items are ordered by position. With `lock`,
    the dead letters' dispositions (such as open or replayed) can't change until the transaction ends.
    """
    if lock:
        await conn.execute(sql("replay_items_lock"), replay_id, after, up_to)
    rows = await conn.fetch(sql("replay_items"), replay_id, after, up_to)
    replayed = [provenance_of(row) for row in rows if row["replay_of"] is not None]
    lives = await _lives(conn, replayed, max_lives) if replayed else {}
    return [_item(row, lives) for row in rows]


def _item(row: Any, lives: Mapping[Provenance, int]) -> DeadLetterItem:
    place, sender = provenance_of(row), sender_named(row["sender"])
    return named(DeadLetterItem, row, provenance=place, body=body(row), lives=lives.get(place, 1), sender=sender)


async def claim(conn: Connection, replay_id: str, items: Sequence[DeadLetterItem], records: Sequence[Replayed]) -> None:
    """Claim items: reserve each dead letter for this replay and the record that the replay will publish for it.

    The items must be locked, and not claimed by another replay. The caller must commit the claims before it publishes
    any of the records.
    """
    places = provenance_columns([item.provenance for item in items])
    await conn.execute(sql("replay_claim"), replay_id, *places, [sent_digest(one, replay_id) for one in records])


async def let_go(conn: Connection, replay_id: str, provenances: Sequence[Provenance]) -> int:
    """Release the replay's claims of dead letters whose records certainly were not published; return their number.

    A claim reserves a dead letter for one replay. Claims that have ended meanwhile don't count.
    """
    return int(await conn.fetchval(sql("replay_let_go"), replay_id, *provenance_columns(list(provenances))))


async def skip(conn: Connection, replay_id: str, why: Mapping[int, str]) -> None:
    """Record why the items at these positions of the replay plan were skipped (not sent)."""
    if why:
        await conn.execute(sql("replay_skip"), replay_id, list(why), list(why.values()))


async def note_sent(conn: Connection, replay_id: str, up_to: int, sent: int) -> None:
    """Record that the replay has finished all items up to position `up_to`; add `sent` to its number of sent items."""
    await conn.execute(sql("replay_sent"), replay_id, up_to, sent)


async def note_forecasts(conn: Connection, replay_id: str, forecasts: Mapping[int, str]) -> None:
    """Record the predicted outcomes of a replay plan's items, by position; all other items are predicted to pass."""
    if forecasts:
        await conn.execute(sql("replay_forecast"), replay_id, list(forecasts), list(forecasts.values()))


async def keep_passing(conn: Connection, replay_id: str) -> None:
    """Remove the items that are predicted to fail from a replay plan."""
    await conn.execute(sql("replay_keep_passing"), replay_id)


async def persisted_keys(conn: Connection, claims: Collection[Claim]) -> set[bytes]:
    """Return the dedup keys of those of these events that would be dropped as duplicates of persisted events."""
    plain = {one: class_key(one.key, one.sender) for one in claims}
    holders = await key_holders(conn, [*set(plain.values())])
    contested = {one: key for one, key in plain.items() if key in holders}
    slots = {one: second_key(key, one.sender, holders[key], shared=one.shared) for one, key in contested.items()}
    held = await key_holders(conn, [*{slot for slot in slots.values() if slot is not None}])
    return {one.key for one, slot in slots.items() if slot is None or slot in held}


async def persisted_events(
    conn: Connection, events: Iterable[tuple[int, str, Sender | None]], since: datetime, until: datetime
) -> set[tuple[int, str]]:
    """Return those of these events that are persisted and were received between `since` and `until`.

    Each event is given by its site, event id, and sender class (None for any). No index supports the query, so it is
    slow.
    """
    columns: list[list[Any]] = [list(column) for column in zip(*events, strict=True)]
    if not columns:
        return set()
    rows = await conn.fetch(sql("events_present"), *columns, since, until)
    return {(row["site_id"], row["event_id"]) for row in rows}


async def _lives(conn: Connection, provenances: list[Provenance], most: int) -> dict[Provenance, int]:
    rows = await conn.fetch(sql("replay_lives"), *provenance_columns(provenances), most)
    return {provenance_of(row): row["lives"] for row in rows}
