"""The classes of the senders whose events one settlement wrote."""

from collections.abc import Mapping, Sequence
from operator import attrgetter
from typing import Final

from schemas.outcome import Candidate
from schemas.sender import Sender

Senders = Mapping[Sender, int]
"""So many events of each class."""

sender_of: Final = attrgetter("event.sender")
_CLASSES: Final = tuple(Sender)


def count_senders(normalized: Sequence[Candidate]) -> Senders:
    """Counts per class."""
    # To hash a member runs Python's code for each event; to count a list compares identities.
    found = list(map(sender_of, normalized))
    return {one: found.count(one) for one in _CLASSES}
