"""The sender classes (visitor, server, direct) of the events that one commit has written."""

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Final

from schemas.pipeline.outcome import Candidate, Outcomes
from schemas.pipeline.sender import Sender

Senders = Mapping[Sender, int]
"""The number of events by sender class."""

_sender_of: Final = attrgetter("sender")
_CLASSES: Final = tuple(Sender)


def only_sender(candidates: Iterable[Candidate]) -> Sender | None:
    """Return the sender class that all candidates (events to persist) have; None if they have several or none exist."""
    # Hashing an enum member would call Python code for each event. `list.count` compares identities instead.
    senders = list(map(_sender_of, candidates))
    return senders[0] if senders and senders.count(senders[0]) == len(senders) else None


def count_senders(candidates: Sequence[Candidate], only: Sender | None) -> Senders:
    """Count events by sender class. `only` is the class of all these events, None if they have several classes."""
    if only is not None:
        return {one: len(candidates) if one is only else 0 for one in _CLASSES}
    senders = list(map(_sender_of, candidates))
    return {one: senders.count(one) for one in _CLASSES}


def without_replays(rows: Sequence[Candidate], outcomes: Iterable[Outcomes]) -> Sequence[Candidate]:
    """Return the events that are no replays. `outcomes` are all of the commit that has written the events."""
    if all(attempt.replay is None for one in outcomes for attempt in one.of_ledger):
        return rows
    return [row for row in rows if not row.window[-1]]
