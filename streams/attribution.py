"""Attribution of old ledger rows: rows of failed events that were written before rows had a sender class.

The ledger is the table of events whose first attempt failed. This module finds such a row's site, script and sender
class, and the changes of the gate windows that counted the event for another site. A gate window has the counts of one
minute, site and partition. The functions are pure.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from schemas.instants import to_epoch_ms
from schemas.pipeline.outcome import UNCONFIRMED_SITE
from schemas.pipeline.record import topic_of
from schemas.pipeline.registry import Registry
from schemas.reasons import DroppedReason
from sinks.postgres.identity.attribution import Attribution, Unattributed
from sinks.windows import REASON_COLUMNS, WindowKey, Windows
from streams.pipeline.identity import claim_note
from streams.pipeline.trust import GatewayTrust, Headers

_MINUTE_MS = 60_000
_REASONS = frozenset(DroppedReason)


class Move(NamedTuple):
    """One dropped event whose count has to move from the gate window `window` to the same window of site `to_site`.

    A gate window has the counts of one minute, site and partition. `column` is the index of the count in it.
    """

    window: WindowKey
    column: int
    to_site: int


def attributed(row: Unattributed, trust: GatewayTrust) -> Attribution | None:
    """Return the identity of a failed event, as the gateway headers that its ledger row stores show it.

    The ledger is the table of failed events. Returns None if the process lacks the key that verifies these headers'
    signature.
    """
    found = trust.of_kept(row, dict(row.body.headers), row.body.value)
    if found.headers is Headers.UNKNOWN_KEY:
        return None
    vouched = found.vouched
    if vouched is None:
        return Attribution(row.provenance, row.site_id, row.script_id, row.event_id, found.sender)
    note = claim_note(vouched, row)
    event_id = row.event_id or vouched.event_id
    return Attribution(row.provenance, vouched.site_id, vouched.script_id, event_id, vouched.sender, note)


def move_of(row: Unattributed, attribution: Attribution, registry: Registry) -> Move | None:
    """Return how an event's count has to move to the gate window of its attributed site; None if the count stays.

    A gate window has the counts of one minute, site and partition. An event that was dropped at its first attempt is in
    the window of its record's minute. Before gateways signed their headers, an event was counted for its own site only
    if a registered script had that site, otherwise for the unconfirmed site. An event that was dropped after a retry,
    or for a reason that this release does not know, has no known window, so the result is also None.
    """
    if attribution.site_id is None or row.dropped_reason not in _REASONS or row.retry_count:
        return None
    script = registry.get(row.script_id or "")
    counted = row.site_id if script is not None and script.site_id == row.site_id else None
    from_site = UNCONFIRMED_SITE if counted is None else counted
    if from_site == attribution.site_id:
        return None
    minute = to_epoch_ms(row.record_time) // _MINUTE_MS
    place = (topic_of(row.provenance.topic), row.provenance.partition)
    window = WindowKey(minute, from_site, *place, row.replay_of is not None)
    return Move(window, REASON_COLUMNS[DroppedReason(row.dropped_reason)], attribution.site_id)


def window_changes(moves: Iterable[Move], present: Mapping[WindowKey, list[int]]) -> tuple[Windows, int]:
    """Return the changes of the gate windows' counts, and the number of moves that were left out.

    A gate window has the counts of one minute, site and partition. A move is left out if its window does not exist or
    counts no such event. The sum over all windows stays the same.
    """
    left = {key: list(counts) for key, counts in present.items()}
    changes: Windows = {}
    without = 0
    for window, column, to_site in moves:
        counts = left.get(window)
        if counts is None or counts[column] < 1:
            without += 1
            continue
        counts[column] -= 1
        for key, change in ((window, -1), (window._replace(site_id=to_site), 1)):
            changes.setdefault(key, [0] * len(counts))[column] += change
    return changes, without
