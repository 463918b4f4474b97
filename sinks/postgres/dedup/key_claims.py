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
    """Result of the first step of the dedup. A candidate is an event that would be persisted unless it is a duplicate.

    `plain` are the candidates that get their plain key (the key without the sender class), by key. `others` are the
    candidates whose plain key another candidate of the batch gets.
    """

    plain: Mapping[bytes, Candidate]
    others: list[Candidate]


class SecondClaims(NamedTuple):
    """Result of the second step of the dedup, for candidates (events to persist) whose plain key another event has.

    `slots` are the candidates that get a second key, which includes the sender class, by key. The others are
    `duplicates`.
    """

    slots: dict[bytes, Candidate]
    duplicates: list[Candidate]


def first_claims(winners: Mapping[bytes, Candidate], only: Sender | None) -> FirstClaims:
    """Decide which candidate (event to persist) gets each plain key, the dedup key without the sender class.

    The first candidate with a plain key gets it. If the script's senders share event ids, a server's event gets the key
    before a visitor's event. `winners` are the candidates by their keys with the class. `only` is the sender class of
    all of them, None if there are several classes.
    """
    if only is Sender.DIRECT:
        # For this class the keys of `winners` are plain keys already.
        return FirstClaims(winners, [])
    plain: dict[bytes, Candidate] = {}
    others: list[Candidate] = []
    for candidate in winners.values():
        sender = candidate.sender
        key = class_key(candidate.key, sender)
        held = plain.setdefault(key, candidate)
        if held is candidate:
            continue
        if supersedes(sender, held.sender, shared=candidate.shared):
            plain[key], candidate = candidate, held
        others.append(candidate)
    return FirstClaims(plain, others)


def second_claims(contested: Iterable[Candidate], holders: Holders) -> SecondClaims:
    """Decide which of these events get a second dedup key, and which are duplicates of the event with the plain key.

    A second key includes the sender class, so that events of two classes with one id are different events.
    """
    found = SecondClaims({}, [])
    for candidate in contested:
        sender = candidate.sender
        plain = class_key(candidate.key, sender)
        slot = second_key(plain, sender, holders.get(plain), shared=candidate.shared)
        if slot is None or found.slots.setdefault(slot, candidate) is not candidate:
            found.duplicates.append(candidate)
    return found


def second_key(plain: bytes, sender: Sender, holder: Sender | None, *, shared: bool) -> bytes | None:
    """Return an event's second dedup key; None if the event is a duplicate of the event that has the plain key.

    The plain key is the dedup key without the sender class. `holder` is the class of the event that has the plain key,
    `sender` the class of this event.
    """
    if holder is None or holder is sender or (shared and not supersedes(sender, holder, shared=shared)):
        return None
    # If the script's senders share ids, servers and Kafka producers count as one class, and visitors as the other.
    return slot_key(plain, Sender.SERVER if shared else sender)


def supersedes(sender: Sender, holder: Sender | None, *, shared: bool) -> bool:
    """Return whether an event of class `sender` replaces the event of class `holder` with the same dedup key.

    An event of a server or Kafka producer replaces a visitor's event, and only if the script's senders share ids.
    """
    return shared and holder is Sender.VISITOR and sender is not Sender.VISITOR
