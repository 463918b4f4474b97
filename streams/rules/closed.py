"""What closing entries add to the audit's counts; pure.

A closing entry has the sums of rows that retention has removed. Kept rows and closing entries together have to be equal
to the running totals, which only commits write. So an entry can't account for more rows than were committed, and a row
that was removed without an entry is missing.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

from schemas.documents.afterwards import Afterwards
from schemas.pipeline.audit_snapshot import Break, Closed, Ledgers, Removals, Snapshot
from schemas.pipeline.record import TopicPartition

_NOTHING: Final = Closed("", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def with_closed(snapshot: Snapshot) -> Snapshot:
    """Return the snapshot of a deep audit with the sums of closing entries added to those of the kept rows."""
    if snapshot.ledgers is None:
        return snapshot
    closed = snapshot.removals.closed
    ledgers = {
        source: _summed(snapshot.ledgers.get(source), closed.get(source)) for source in {*snapshot.ledgers, *closed}
    }
    reasons = Counter(snapshot.reasons or {}) + Counter(snapshot.removals.reasons)
    became = Counter(snapshot.became or {})
    replays = sum(one.replays for one in closed.values())
    became[Afterwards.REPLAY] += replays
    became[Afterwards.REMOVED] += sum(one.dropped for one in closed.values()) - replays
    return snapshot._replace(
        ledgers=ledgers,
        reasons=dict(reasons),
        became=None if snapshot.became is None else dict(+became),
        replays=(snapshot.replays or 0) + sum(one.replayed for one in closed.values()),
    )


def _summed(kept: Ledgers | None, closed: Closed | None) -> Ledgers:
    """Return the sums of a partition's kept rows and closing entries."""
    if closed is None and kept is not None:
        return kept
    closed = closed or _NOTHING
    if kept is None:
        at = (closed.first_offset, closed.last_offset)
        kept = Ledgers(closed.topic, closed.partition, *at, *(0,) * 8, *(0, None) * 5)
    return kept._replace(
        first_offset=min(kept.first_offset, closed.first_offset),
        last_offset=max(kept.last_offset, closed.last_offset),
        persisted=kept.persisted + closed.events,
        persisted_at_once=kept.persisted_at_once + closed.events_at_once,
        ledger=kept.ledger + closed.ledger,
        dropped=kept.dropped + closed.dropped,
        healed=kept.healed + closed.healed,
        retried=kept.retried + closed.retried,
        # Only finished rows are removed, and each of their retries was a later attempt.
        later_attempts=kept.later_attempts + closed.retried,
    )


def counterpart_problems(source: TopicPartition, ledger: Ledgers, closed: Closed | None) -> Iterable[str]:
    """Yield the problems of events and ledger rows (rows of failed events) that belong together, of one partition.

    An event that was persisted at a later attempt has a ledger row that is healed, and the reverse. If one of the two
    was removed, the other one has no counterpart among the kept rows. With H healed ledger rows and R events of later
    attempts, kept and closed, H = R. Of the kept ones, M have their counterpart, A events and B ledger rows have none:
    kept R = M + A, kept H = M + B. So A - B = closed H - closed R.
    """
    closed = closed or _NOTHING
    later = closed.events - closed.events_at_once
    events, rows = ledger.retried_without_ledger, ledger.healed_without_event
    known = "; closing entries account for {}".format
    if rows > later:
        more = known(later) if later else ""
        yield (
            f"{source}: {rows} raw events are healed by the ledger but have no event row{more}, "
            f"first at offset {ledger.healed_without_event_at}"
        )
    if events > closed.healed:
        more = known(closed.healed) if closed.healed else ""
        yield (
            f"{source}: {events} raw events healed at a retry but have no ledger row{more}, "
            f"first at offset {ledger.retried_without_ledger_at}"
        )
    elif rows <= later and events - rows != closed.healed - later:
        yield (
            f"{source}: closing entries account for {closed.healed} healed ledger rows and {later} events of later "
            f"attempts, but {events} events and {rows} ledger rows have no counterpart"
        )


def removed_records(closed: Closed | None) -> int:
    """Return the number of a partition's records whose outcome (persisted or dropped) is in closing entries only."""
    return closed.events + closed.dropped if closed else 0


def chain_problems(removals: Removals) -> Iterable[str]:
    """Yield the places where the chain of closing entries is broken: an entry was changed, removed or put in."""
    return map(_broken, removals.breaks)


def _broken(one: Break) -> str:
    place, after = f"closing entry {one.removal_id}", one.removal_id - 1
    match one.what:
        case "missing":
            first = one.id_before + 1
            gone = f"closing entry {first} is" if first == after else f"closing entries {first} to {after} are"
            return f"removal: {gone} missing"
        case "edited":
            return f"removal: {place} was changed: its digest is not that of its columns"
        case "end":
            return f"removal: the chain ends at closing entry {one.id_before}, but {place} was written last"
        case _:
            return f"removal: {place} has not the digest of the entry before it, so that one was replaced"
