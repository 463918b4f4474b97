"""The gateway's proof: a keyed digest of a record's identity headers and value, which no other writer can forge.

The header `bridge-proof` is `1:<key id>:<digest>`. The digest is keyed BLAKE2b of 16 bytes. Its input is site, script,
sender class, origin and assigned id, each followed by a NUL, then the value. No field may contain a NUL, so no byte can
move from one field to the next. Time and trace headers are not included, because they don't attribute an event.
"""

import hmac
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from hashlib import blake2b, sha256
from typing import Any, Final, NamedTuple

from schemas.events.raw_event import MAX_EVENT_ID, MAX_INTEGER, MAX_SCRIPT_ID
from schemas.kafka import headers as names
from schemas.kafka.vouched import Vouched
from schemas.pipeline.sender import Sender

_VERSION: Final = b"1"
_DIGEST_BYTES: Final = 16
_FIELDS: Final = (names.SITE_ID, names.SCRIPT_ID, names.SENDER, names.ORIGIN, names.EVENT_ID)
_SENDERS: Final = {one.value.encode(): one for one in (Sender.VISITOR, Sender.SERVER)}
_STATED: Final = (names.PROOF, names.SITE_ID, names.SCRIPT_ID, names.SENDER, names.EVENT_ID)

Said = Mapping[str, bytes | None]
"""A record's headers by name. Of several with the same name, this is the last one."""


DEVELOPMENT_KEY: Final = b"ghostlink bridge development"
"""The key that processes on one machine use if no secret is set. It is public, so production never uses it."""


class Seal(NamedTuple):
    """The part of a proof that the records of one request share."""

    prefix: bytes
    state: Any

    def proof(self, event_id: bytes, value: bytes) -> bytes:
        """Return the value of `bridge-proof`. `event_id` is the id that the gateway has assigned, empty without one."""
        state = self.state.copy()
        state.update(event_id + b"\0" + value)
        return self.prefix + urlsafe_b64encode(state.digest()).rstrip(b"=")


class ProofKeys:
    """The keys of gateway proofs. The first one signs, and all of them verify."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        # The key is hashed first, because BLAKE2b accepts at most 64 bytes.
        self._digests = {key_id(key): sha256(key).digest() for key in keys}
        self._by_id = {name: blake2b(key=digest, digest_size=_DIGEST_BYTES) for name, digest in self._digests.items()}

    def __bool__(self) -> bool:
        return bool(self._by_id)

    @property
    def ids(self) -> list[str]:
        """The public ids of the keys, the signing one first."""
        return [one.decode() for one in self._by_id]

    @property
    def digests(self) -> Mapping[bytes, bytes]:
        """The secret keys of BLAKE2b by the public ids of their keys."""
        return self._digests

    def seal(self, site_id: int, script_id: str, sender: Sender, origin: str | None) -> Seal:
        """Return the seal that signs the records of one request; raises StopIteration if there is no key."""
        name, keyed = next(iter(self._by_id.items()))
        state = keyed.copy()
        fields = (str(site_id).encode(), script_id.encode(), sender.value.encode(), (origin or "").encode(), b"")
        state.update(b"\0".join(fields))
        return Seal(b"%s:%s:" % (_VERSION, name), state)

    def knows(self, proof: bytes) -> bool:
        """Return whether the proof has version 1 and names one of the keys."""
        version, _, rest = proof.partition(b":")
        return version == _VERSION and rest.partition(b":")[0] in self._by_id

    def proven(self, said: Said, value: bytes | None) -> Vouched | None:
        """Return the identity in the headers if `bridge-proof` confirms it, else None."""
        proof = said.get(names.PROOF)
        if proof is None or value is None:
            return None
        version, _, rest = proof.partition(b":")
        name, _, digest = rest.partition(b":")
        keyed = self._by_id.get(name)
        if version != _VERSION or keyed is None:
            return None
        fields = [said.get(field) or b"" for field in _FIELDS]
        message = b"\0".join(fields)
        if message.count(b"\0") != len(_FIELDS) - 1:
            return None
        state = keyed.copy()
        state.update(message + b"\0" + value)
        if not hmac.compare_digest(urlsafe_b64encode(state.digest()).rstrip(b"="), digest):
            return None
        return read_identity(said, _SENDERS.get(fields[2]))


def key_id(key: bytes) -> bytes:
    """Return the eight hexadecimal digits that name a key publicly."""
    return sha256(b"ghostlink bridge key id\0" + key).hexdigest()[:8].encode()


def states_identity(said: Said) -> bool:
    """Return whether a header states an identity, which only a gateway may do."""
    return any(name in said for name in _STATED)


def read_identity(said: Said, sender: Sender | None) -> Vouched | None:
    """Return site, script and assigned id from the headers, not verified; None if they break the contract."""
    site, script, event_id = (_text(said.get(name)) for name in (names.SITE_ID, names.SCRIPT_ID, names.EVENT_ID))
    if sender is None or not site or not (site.isascii() and site.isdigit() and len(site) <= 19):
        return None
    if not 0 < int(site) <= MAX_INTEGER or not script or len(script) > MAX_SCRIPT_ID or "\x00" in script:
        return None
    assigned = event_id if event_id and len(event_id) <= MAX_EVENT_ID and "\x00" not in event_id else None
    return Vouched(int(site), script, sender, assigned)


def _text(value: bytes | None) -> str | None:
    try:
        return None if value is None else value.decode()
    except UnicodeDecodeError:
        return None
