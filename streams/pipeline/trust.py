"""Trust in a record's gateway headers, which name the event's site, script and sender class; pure.

The headers are one of:

- proven: a proof (a signature by a gateway's key) confirms them;
- believed: they have no proof, but date from the legacy period, before gateways signed;
- plain data of a Kafka producer, which are not trusted.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from schemas.instants import to_epoch_ms
from schemas.kafka import headers as names
from schemas.kafka.gateway_proof import ProofKeys, Said, read_identity, states_identity
from schemas.kafka.vouched import Vouched
from schemas.pipeline.sender import Sender
from schemas.reasons import ErrorClass
from streams.pipeline.rejection import Rejection


class Headers(StrEnum):
    """How far a record's gateway headers, which name the event's site, script and sender class, are trusted."""

    NONE = "none"
    """The record has no gateway headers."""
    PROVEN = "proven"
    LEGACY = "legacy"
    """They have no proof, but are believed: the record was written before the end of the legacy period."""
    UNPROVEN = "unproven"
    """They are plain data of a Kafka producer: they have no proof, or a wrong one."""
    UNKNOWN_KEY = "unknown_key"
    """Their proof names a key that this process does not have. The attempt is retried."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of checking one record's gateway headers: how far they are trusted.

    `vouched` is the identity in the headers, if a gateway's signature proves them or they are believed without one.
    """

    headers: Headers
    vouched: Vouched | None = None

    def checked(self) -> Vouched | None:
        """Return the vouched identity (the one in trusted gateway headers); None if the headers are not trusted.

        Raises Rejection if the process lacks the key to verify the signature. The attempt is then retried.
        """
        if self.headers is Headers.UNKNOWN_KEY:
            raise Rejection(
                ErrorClass.UNKNOWN_GATEWAY_KEY,
                "bridge-proof names a key that this worker does not have; give gateways and workers the same "
                "BRIDGE_GATEWAY_PROOF_KEY or BRIDGE_SECRET_KEY",
            )
        return self.vouched

    @property
    def sender(self) -> Sender:
        """The sender class of the record's event: the one in trusted gateway headers, else that of a Kafka producer."""
        return Sender.DIRECT if self.vouched is None else self.vouched.sender


WORTHLESS = frozenset({Headers.LEGACY, Headers.UNPROVEN, Headers.UNKNOWN_KEY})
"""The kinds of headers without a valid proof, which are counted."""

NOTHING = Finding(Headers.NONE)
_UNPROVEN = Finding(Headers.UNPROVEN)
_NO_KEYS = ProofKeys(())
_UNKNOWN_KEY = Finding(Headers.UNKNOWN_KEY)


class Kept(Protocol):
    """The event's identity (site, script, sender class) as its ledger row, the row of a failed event, has it."""

    @property
    def sender(self) -> Sender | None: ...
    @property
    def site_id(self) -> int | None: ...
    @property
    def script_id(self) -> str | None: ...
    @property
    def received_at(self) -> datetime: ...


@dataclass(frozen=True, slots=True)
class GatewayTrust:
    """The rule for which gateway headers are trusted: those with a valid signature by a gateway's key.

    Without keys, as in a process without a gateway, none is valid. `legacy_until_ms` is in the
    database. Headers without a signature are believed until `legacy_until_ms` (since the epoch), when all gateways sign.
    """

    keys: ProofKeys = _NO_KEYS
    legacy_until_ms: int = 0

    def of_raw(self, said: Said, value: bytes | None, now_ms: int) -> Finding:
        """Check the gateway headers of a record of the raw topic; return how far they are trusted."""
        if not states_identity(said):
            return NOTHING
        return self._judged(said, value, legacy=now_ms < self.legacy_until_ms)

    def of_kept(self, kept: Kept, said: Said, value: bytes | None) -> Finding:
        """Check the gateway headers of an event in the ledger, the table of events whose first attempt failed.

        The result has the identity that the ledger row states. For an old row without a sender class, the headers
        decide. Headers without a signature are then believed if the event was received before gateways had to sign.
        """
        if kept.sender is Sender.DIRECT:
            return _UNPROVEN if states_identity(said) else NOTHING
        if kept.sender is not None and kept.site_id is not None and kept.script_id is not None:
            assigned = read_identity(said, kept.sender)
            event_id = None if assigned is None else assigned.event_id
            return Finding(Headers.PROVEN, Vouched(kept.site_id, kept.script_id, kept.sender, event_id))
        if not states_identity(said):
            return NOTHING
        return self._judged(said, value, legacy=to_epoch_ms(kept.received_at) < self.legacy_until_ms)

    def of_replay(self, kept: Kept, said: Said, value: bytes | None) -> Finding:
        """Check the gateway headers of a dead letter that is replayed.

        A correction's headers have a new signature, which decides. Otherwise the identity in the dead letter's row in
        the ledger (the table of failed events) decides.
        """
        vouched = self.keys.proven(said, value)
        return self.of_kept(kept, said, value) if vouched is None else Finding(Headers.PROVEN, vouched)

    def _judged(self, said: Said, value: bytes | None, *, legacy: bool) -> Finding:
        proof = said.get(names.PROOF)
        if proof is not None:
            if not self.keys.knows(proof):
                return _UNKNOWN_KEY
            vouched = self.keys.proven(said, value)
            return _UNPROVEN if vouched is None else Finding(Headers.PROVEN, vouched)
        if legacy and names.SENDER not in said:
            # Before sender classes existed, only events from browsers had an origin.
            vouched = read_identity(said, Sender.SERVER if said.get(names.ORIGIN) is None else Sender.VISITOR)
            if vouched is not None:
                return Finding(Headers.LEGACY, vouched)
        return _UNPROVEN
