"""The classes of the senders whose events one settlement wrote."""

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Final

from schemas.pipeline.outcome import Candidate
from schemas.pipeline.sender import Sender

Senders = Mapping[Sender, int]
"""So many events of each class."""

_sender_of: Final = attrgetter("event.sender")
_CLASSES: Final = tuple(Sender)


def only_sender(candidates: Iterable[Candidate]) -> Sender | None:
    """The class of all of them, which those of most batches share; None if there are several, or no candidates."""
    # To hash a member runs Python's code for each event; to count a list compares identities.
    senders = list(map(_sender_of, candidates))
    return senders[0] if senders and senders.count(senders[0]) == len(senders) else None


def count_senders(candidates: Sequence[Candidate], only: Sender | None) -> Senders:
    """Counts per class; `only` is the class of all of them, None if that is not known."""
    if only is not None:
        return {one: len(candidates) if one is only else 0 for one in _CLASSES}
    senders = list(map(_sender_of, candidates))
    return {one: senders.count(one) for one in _CLASSES}
