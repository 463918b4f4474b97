"""Which keys the events of a batch claim, and which events are duplicates; pure functions.

An event that is persisted claims a key in the key table; a later event with that key is a duplicate. Every release
claims the plain key, which does not depend on the sender class, so that workers of two releases agree. The key table
records the class of the event that holds the key. An event of another class with the same id claims a second key, which
includes its class. A plain key without a recorded class was claimed by a release from before sender classes; it makes
events of every class duplicates.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from schemas.pipeline.class_key import class_key, slot_key
from schemas.pipeline.outcome import Candidate
from schemas.pipeline.sender import Sender

Holders = Mapping[bytes, Sender | None]
"""The held keys with the class of the event that holds each; None if a release from before sender classes claimed it."""


class FirstClaims(NamedTuple):
    """Candidates that claim their plain key, by key, and candidates whose plain key another one in the batch claims."""

    plain: Mapping[bytes, Candidate]
    others: list[Candidate]


class SecondClaims(NamedTuple):
    """Candidates that claim a second key, by key; and candidates that are duplicates."""

    slots: dict[bytes, Candidate]
    duplicates: list[Candidate]


def first_claims(winners: Mapping[bytes, Candidate], only: Sender | None) -> FirstClaims:
    """Decide which candidate claims each plain key: of those with the same plain key, the first one.

    If the script's senders share ids, a server's event claims it before a visitor's. `winners` are the candidates by
    the keys of their class. `only` is the class of all of them, None if there are several classes.
    """
    if only is Sender.DIRECT:
        # For this class the keys of `winners` are plain keys already.
        return FirstClaims(winners, [])
    plain: dict[bytes, Candidate] = {}
    others: list[Candidate] = []
    for candidate in winners.values():
        sender = candidate.event.sender
        key = class_key(candidate.key, sender)
        held = plain.setdefault(key, candidate)
        if held is candidate:
            continue
        if supersedes(sender, held.event.sender, shared=candidate.shared):
            plain[key], candidate = candidate, held
        others.append(candidate)
    return FirstClaims(plain, others)


def second_claims(contested: Iterable[Candidate], holders: Holders) -> SecondClaims:
    """Return what candidates claim whose plain key is held by another event."""
    found = SecondClaims({}, [])
    for candidate in contested:
        sender = candidate.event.sender
        plain = class_key(candidate.key, sender)
        slot = second_key(plain, sender, holders.get(plain), shared=candidate.shared)
        if slot is None or found.slots.setdefault(slot, candidate) is not candidate:
            found.duplicates.append(candidate)
    return found


def second_key(plain: bytes, sender: Sender, holder: Sender | None, *, shared: bool) -> bytes | None:
    """Return the second key of an event; None if the event is a duplicate of the holder of the plain key.

    `holder` is the class of the event that holds the plain key, `sender` the class of this event.
    """
    if holder is None or holder is sender or (shared and not supersedes(sender, holder, shared=shared)):
        return None
    # If the script's senders share ids, servers and Kafka producers count as one class, and visitors as the other.
    return slot_key(plain, Sender.SERVER if shared else sender)


def supersedes(sender: Sender, holder: Sender | None, *, shared: bool) -> bool:
    """Return whether the event replaces the visitor's event that holds its key.

    It does only if the script's senders share ids.
    """
    return shared and holder is Sender.VISITOR and sender is not Sender.VISITOR
