"""The worth of a record's gateway headers: proven, believed by the rule for older records, or data: pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from schemas.config.settings import Settings
from schemas.instants import to_epoch_ms
from schemas.kafka import headers as names
from schemas.kafka.gateway_proof import ProofKeys, Said, read_identity, states_identity
from schemas.kafka.vouched import Vouched
from schemas.pipeline.sender import Sender
from schemas.reasons import ErrorClass
from streams.pipeline.rejection import Rejection


class Headers(StrEnum):
    """What a record's gateway headers are worth."""

    NONE = "none"
    """There are none."""
    PROVEN = "proven"
    LEGACY = "legacy"
    """Unproven, and believed: written before the upgrade, as far as the rule's time lasts."""
    UNPROVEN = "unproven"
    """Plain data of a Kafka producer: no proof, or a wrong one."""
    UNKNOWN_KEY = "unknown_key"
    """The proof names a key that is not known here: the attempt is retried."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one record; `vouched` is there if its headers are proven or believed."""

    headers: Headers
    vouched: Vouched | None = None

    def checked(self) -> Vouched | None:
        """What is vouched for; raises Rejection where the proof's key is not known: the attempt is retried."""
        if self.headers is Headers.UNKNOWN_KEY:
            raise Rejection(
                ErrorClass.UNKNOWN_GATEWAY_KEY,
                "bridge-proof names a key that this worker does not have; give gateways and workers the same "
                "BRIDGE_GATEWAY_PROOF_KEY or BRIDGE_SECRET_KEY",
            )
        return self.vouched

    @property
    def sender(self) -> Sender:
        """The class that the record is treated as."""
        return Sender.DIRECT if self.vouched is None else self.vouched.sender


WORTHLESS = frozenset({Headers.LEGACY, Headers.UNPROVEN, Headers.UNKNOWN_KEY})
"""Not proven, and so counted."""

NOTHING = Finding(Headers.NONE)
_UNPROVEN = Finding(Headers.UNPROVEN)
_UNKNOWN_KEY = Finding(Headers.UNKNOWN_KEY)


class Kept(Protocol):
    """What the ledger keeps of whose an event is."""

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
    """Which headers a worker believes. Until `legacy_until_ms` (since the epoch) headers without a proof are believed too."""

    keys: ProofKeys
    legacy_until_ms: int = 0

    def of_raw(self, said: Said, value: bytes | None, now_ms: int) -> Finding:
        """The finding for a record of the raw topic."""
        if not states_identity(said):
            return NOTHING
        return self._judged(said, value, legacy=now_ms < self.legacy_until_ms)

    def of_kept(self, kept: Kept, said: Said, value: bytes | None) -> Finding:
        """The finding for a raw event that the ledger keeps: the ledger's identity counts.

        A row without a class is judged by its headers, those without a proof if it was received in the rule's time.
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
        """The finding for a replayed dead letter: a new seal of a correction counts, else the ledger's identity."""
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
            # Before there were classes, only what a browser sent had an origin.
            vouched = read_identity(said, Sender.SERVER if said.get(names.ORIGIN) is None else Sender.VISITOR)
            if vouched is not None:
                return Finding(Headers.LEGACY, vouched)
        return _UNPROVEN


def gateway_trust(settings: Settings, legacy_until_ms: int) -> GatewayTrust:
    """The trust of a process with these settings; `legacy_until_ms` comes from the database."""
    return GatewayTrust(settings.proof_keys, legacy_until_ms)


def no_trust() -> GatewayTrust:
    """Believes no header: for what has no key and no gateway."""
    return GatewayTrust(ProofKeys(()))
