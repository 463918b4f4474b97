"""The identity (site, script, event id) under which a refused event is recorded; pure.

It is taken from the first of these sources that has one: the vouched identity (confirmed by a gateway's signature), the
event's document, the record's key.
"""

from typing import NamedTuple

from schemas.kafka.headers import bounded_text
from schemas.kafka.vouched import Vouched
from schemas.pipeline.outcome import UNCONFIRMED_SITE
from schemas.pipeline.registry import Registry
from streams.pipeline.rejection import Claimed

_KEY_DIGITS = 18
_CLAIM_BYTES = 128

_known: tuple[Registry | None, frozenset[int | None]] = (None, frozenset())


class Identity(NamedTuple):
    """The identity of a refused event, and the site for which the quality gate's statistics count the event.

    `note` is appended to the error. It lists the ids in the document that differ from the vouched identity, which a
    gateway has confirmed by its signature.
    """

    site_id: int | None
    script_id: str | None
    event_id: str | None
    window_site_id: int
    note: str = ""


def identify(vouched: Vouched | None, claimed: Claimed | None, key: bytes | None, registry: Registry) -> Identity:
    """Return the identity under which a refused event is recorded, and the site for which it is counted.

    Without a vouched identity (confirmed by a gateway's signature), the site is the one in the document, else the one
    in the record key, else the one for which the script is registered. An event of an unregistered site is counted for
    the unconfirmed site, because a producer can invent any number of sites.
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
    """Return the site id in a Kafka record key of the form `site:id`; None for a key of any other form."""
    digits, colon, _ = (key or b"").partition(b":")
    return int(digits) or None if colon and digits.isdigit() and len(digits) <= _KEY_DIGITS else None


def _sites(registry: Registry) -> frozenset[int | None]:
    """Return the sites that have a registered script. The result is cached until the registry is loaded again."""
    global _known  # noqa: PLW0603  # a cache, since many refused events ask for the same set
    if _known[0] is not registry:
        _known = (registry, frozenset(script.site_id for script in registry.values()))
    return _known[1]


def claim_note(vouched: Vouched, claimed: Claimed | None) -> str:
    """Return an addition to the error that lists the document's ids that differ from the vouched identity; '' if none.

    The vouched identity is the one that a gateway has confirmed by its signature.
    """
    if claimed is None:
        return ""
    site_id, script_id = claimed.site_id, claimed.script_id
    claims = [f"site_id {site_id}"] if site_id not in (None, vouched.site_id) else []
    if script_id not in (None, vouched.script_id):
        claims.append(f"script_id {bounded_text(str(script_id), _CLAIM_BYTES)!r}")
    return f"; the event claims {', '.join(claims)}" if claims else ""
