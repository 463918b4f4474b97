"""Claims of keys by the events of a batch, by sender class, and the duplicates among them: pure.

The first event of any class takes the plain key, which every release claims, so that workers of two releases agree.
The key table records its class. An event of another class with the same id takes an additional key. A plain key
without a class was claimed by a release before sender classes, and applies to all of them.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from schemas.pipeline.class_key import class_key, slot_key
from schemas.pipeline.outcome import Candidate
from schemas.pipeline.sender import Sender

Holders = Mapping[bytes, Sender | None]
"""Claimed keys, with the class of each holder; None is a holder that predates sender classes."""


class FirstClaims(NamedTuple):
    """The candidates that claim their plain key, by key, and those whose plain key another one of the batch claims."""

    plain: Mapping[bytes, Candidate]
    others: list[Candidate]


class SecondClaims(NamedTuple):
    """The candidates that claim a key of their class, by key, and those that are duplicates."""

    slots: dict[bytes, Candidate]
    duplicates: list[Candidate]


def first_claims(winners: Mapping[bytes, Candidate], only: Sender | None) -> FirstClaims:
    """Assign plain keys: of two candidates that share one, the first gets it, but a server's event before a visitor's.

    `winners` are the candidates by their keys, `only` is the class of all of them if there is only one.
    """
    if only is Sender.DIRECT:
        # The keys of this class are the plain ones.
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
    """Return the second claims of candidates whose plain key is held."""
    found = SecondClaims({}, [])
    for candidate in contested:
        sender = candidate.event.sender
        plain = class_key(candidate.key, sender)
        slot = second_key(plain, sender, holders.get(plain), shared=candidate.shared)
        if slot is None or found.slots.setdefault(slot, candidate) is not candidate:
            found.duplicates.append(candidate)
    return found


def second_key(plain: bytes, sender: Sender, holder: Sender | None, *, shared: bool) -> bytes | None:
    """Return the key for an event of this class if `holder` has the plain key; None if it is the holder's duplicate."""
    if holder is None or holder is sender or (shared and not supersedes(sender, holder, shared=shared)):
        return None
    # With shared ids, servers and Kafka producers are one class beside visitors.
    return slot_key(plain, Sender.SERVER if shared else sender)


def supersedes(sender: Sender, holder: Sender | None, *, shared: bool) -> bool:
    """Return whether the event replaces a visitor's that holds its key: only if the script's ids are shared."""
    return shared and holder is Sender.VISITOR and sender is not Sender.VISITOR
