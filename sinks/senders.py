"""The sender classes of the events that one commit wrote."""

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Final

from schemas.pipeline.outcome import Candidate
from schemas.pipeline.sender import Sender

Senders = Mapping[Sender, int]
"""The number of events of each class."""

_sender_of: Final = attrgetter("event.sender")
_CLASSES: Final = tuple(Sender)


def only_sender(candidates: Iterable[Candidate]) -> Sender | None:
    """Return the common class, as in most batches; None if there are several, or no candidates."""
    # Hashing an enum member calls Python code for each event; counting in a list compares identities.
    senders = list(map(_sender_of, candidates))
    return senders[0] if senders and senders.count(senders[0]) == len(senders) else None


def count_senders(candidates: Sequence[Candidate], only: Sender | None) -> Senders:
    """Count per class; `only` is the class of all of them, None if that is not known."""
    if only is not None:
        return {one: len(candidates) if one is only else 0 for one in _CLASSES}
    senders = list(map(_sender_of, candidates))
    return {one: senders.count(one) for one in _CLASSES}
