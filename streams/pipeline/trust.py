"""Trust in a record's gateway headers: proven, believed by the rule for older records, or plain data: pure."""

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
    """The trust in a record's gateway headers."""

    NONE = "none"
    """The record has none."""
    PROVEN = "proven"
    LEGACY = "legacy"
    """Without a proof but believed: written before the upgrade, until the end of the legacy period."""
    UNPROVEN = "unproven"
    """Plain data of a Kafka producer: no proof, or a wrong one."""
    UNKNOWN_KEY = "unknown_key"
    """The proof names a key that this process does not have; the attempt is retried."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The finding about one record; `vouched` is set if its headers are proven or believed."""

    headers: Headers
    vouched: Vouched | None = None

    def checked(self) -> Vouched | None:
        """Return the vouched identity; raises Rejection, which is retried, if the proof's key is not known."""
        if self.headers is Headers.UNKNOWN_KEY:
            raise Rejection(
                ErrorClass.UNKNOWN_GATEWAY_KEY,
                "bridge-proof names a key that this worker does not have; give gateways and workers the same "
                "BRIDGE_GATEWAY_PROOF_KEY or BRIDGE_SECRET_KEY",
            )
        return self.vouched

    @property
    def sender(self) -> Sender:
        """The sender class that applies to the record."""
        return Sender.DIRECT if self.vouched is None else self.vouched.sender


WORTHLESS = frozenset({Headers.LEGACY, Headers.UNPROVEN, Headers.UNKNOWN_KEY})
"""Findings without a proof, which are counted."""

NOTHING = Finding(Headers.NONE)
_UNPROVEN = Finding(Headers.UNPROVEN)
_UNKNOWN_KEY = Finding(Headers.UNKNOWN_KEY)


class Kept(Protocol):
    """The identity that the ledger stores for an event."""

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
    """The rule for trusting headers: until `legacy_until_ms` (since the epoch), also headers without a proof."""

    keys: ProofKeys
    legacy_until_ms: int = 0

    def of_raw(self, said: Said, value: bytes | None, now_ms: int) -> Finding:
        """Return the finding for a record of the raw topic."""
        if not states_identity(said):
            return NOTHING
        return self._judged(said, value, legacy=now_ms < self.legacy_until_ms)

    def of_kept(self, kept: Kept, said: Said, value: bytes | None) -> Finding:
        """Return the finding for a raw event in the ledger: the ledger's identity counts.

        A row without a sender class is judged by its headers. Headers without a proof are believed if the event was
        received before the end of the legacy period.
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
        """Return the finding for a replayed dead letter: a correction's new proof counts, or the ledger's identity."""
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
            # Before sender classes existed, only browsers' events had an origin.
            vouched = read_identity(said, Sender.SERVER if said.get(names.ORIGIN) is None else Sender.VISITOR)
            if vouched is not None:
                return Finding(Headers.LEGACY, vouched)
        return _UNPROVEN


def gateway_trust(settings: Settings, legacy_until_ms: int) -> GatewayTrust:
    """Return the trust of a process with these settings; `legacy_until_ms` comes from the database."""
    return GatewayTrust(settings.proof_keys, legacy_until_ms)


def no_trust() -> GatewayTrust:
    """Return a trust that believes no header, for a process without proof keys and gateway."""
    return GatewayTrust(ProofKeys(()))
