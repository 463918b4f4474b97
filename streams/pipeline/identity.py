"""Identity of a refused event: the vouched one, else the document's, else the record key's: pure."""

from typing import NamedTuple, Protocol

from schemas.kafka.headers import bounded_text
from schemas.kafka.vouched import Vouched
from schemas.pipeline.outcome import UNCONFIRMED_SITE
from schemas.pipeline.registry import Registry

_KEY_DIGITS = 18
_CLAIM_BYTES = 128

_known: tuple[Registry | None, frozenset[int | None]] = (None, frozenset())


class Claimed(Protocol):
    """The identity that a document claims, as far as it can be read."""

    @property
    def event_id(self) -> str | None: ...
    @property
    def site_id(self) -> int | None: ...
    @property
    def script_id(self) -> str | None: ...


class Identity(NamedTuple):
    """The event's identity, the site whose gate window counts it, and a note of conflicting claims for the error."""

    site_id: int | None
    script_id: str | None
    event_id: str | None
    window_site_id: int
    note: str = ""


def identify(vouched: Vouched | None, claimed: Claimed | None, key: bytes | None, registry: Registry) -> Identity:
    """Return the identity of an event that was refused.

    Without a vouched identity, the document counts, then the record key, then the script's registered site. Only sites
    of the registry get a window, since a producer can invent others.
    """
    event_id, site_id, script_id = (
        (None, None, None) if claimed is None else (claimed.event_id, claimed.site_id, claimed.script_id)
    )
    if vouched is not None:
        note = claim_note(vouched, claimed)
        return Identity(vouched.site_id, vouched.script_id, event_id or vouched.event_id, vouched.site_id, note)
    script = None if script_id is None else registry.get(script_id)
    site_id = site_id or site_of_key(key) or (None if script is None else script.site_id)
    window = site_id if site_id is not None and site_id in _sites(registry) else UNCONFIRMED_SITE
    return Identity(site_id, script_id, event_id, window)


def site_of_key(key: bytes | None) -> int | None:
    """Return the site of a record key in the form `site:id`; None for other keys."""
    digits, colon, _ = (key or b"").partition(b":")
    return int(digits) or None if colon and digits.isdigit() and len(digits) <= _KEY_DIGITS else None


def _sites(registry: Registry) -> frozenset[int | None]:
    """Return the sites of the registry, cached until the registry is replaced."""
    global _known  # noqa: PLW0603  # called for each of many refused events
    if _known[0] is not registry:
        _known = (registry, frozenset(script.site_id for script in registry.values()))
    return _known[1]


def claim_note(vouched: Vouched, claimed: Claimed | None) -> str:
    """Return the document's claims that differ from the vouched identity, as an error's suffix; empty if it agrees."""
    if claimed is None:
        return ""
    site_id, script_id = claimed.site_id, claimed.script_id
    claims = [f"site_id {site_id}"] if site_id not in (None, vouched.site_id) else []
    if script_id not in (None, vouched.script_id):
        claims.append(f"script_id {bounded_text(str(script_id), _CLAIM_BYTES)!r}")
    return f"; the event claims {', '.join(claims)}" if claims else ""
