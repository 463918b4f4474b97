"""Which keys the events of a batch claim, by class of sender, and which of them are duplicates: pure.

The first of all classes to come takes the plain key, which every release claims, so that workers of two releases agree.
The key table notes its class. Another class's event of the same id takes a key of its own behind it. A plain key without
a class was claimed by a release before there were classes, and holds for all of them.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from schemas.pipeline.class_key import class_key, slot_key
from schemas.pipeline.outcome import Candidate
from schemas.pipeline.sender import Sender

Holders = Mapping[bytes, Sender | None]
"""Claimed keys, with the class of each holder; None is a holder from before there were classes."""


class FirstClaims(NamedTuple):
    """The candidates that claim their plain key, by it, and those whose plain key another one of the batch claims."""

    plain: Mapping[bytes, Candidate]
    others: list[Candidate]


class SecondClaims(NamedTuple):
    """The candidates that claim a key of their class, by it, and those that are duplicates."""

    slots: dict[bytes, Candidate]
    duplicates: list[Candidate]


def first_claims(winners: Mapping[bytes, Candidate], only: Sender | None) -> FirstClaims:
    """Every candidate asks for its plain key; of two that share it the first, but no visitor before a server's.

    `winners` are the candidates by their keys, `only` is the class of all of them if there is one.
    """
    if only is Sender.DIRECT:
        # Their keys are the plain ones.
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
    """What becomes of candidates whose plain key is held."""
    found = SecondClaims({}, [])
    for candidate in contested:
        sender = candidate.event.sender
        plain = class_key(candidate.key, sender)
        slot = second_key(plain, sender, holders.get(plain), shared=candidate.shared)
        if slot is None or found.slots.setdefault(slot, candidate) is not candidate:
            found.duplicates.append(candidate)
    return found


def second_key(plain: bytes, sender: Sender, holder: Sender | None, *, shared: bool) -> bytes | None:
    """The key that an event of this class claims where `holder` has its plain key; None if it is the holder's duplicate."""
    if holder is None or holder is sender or (shared and not supersedes(sender, holder, shared=shared)):
        return None
    # Where ids are shared, servers and Kafka producers are one class beside visitors.
    return slot_key(plain, Sender.SERVER if shared else sender)


def supersedes(sender: Sender, holder: Sender | None, *, shared: bool) -> bool:
    """Whether the event counts instead of a visitor's that holds its key: where the script's ids are shared."""
    return shared and holder is Sender.VISITOR and sender is not Sender.VISITOR
