"""Authorisation of a request: its script, the script's allowed origins, and the credential.

A script is a registered source of a site's events. The credential is an API key (of a server) or an ingest token (of a
browser).
"""

import hmac
from collections.abc import Mapping
from typing import Final, NamedTuple

from bridge.gateway.admission.ingest_tokens import IngestTokens
from bridge.http.problems import Code, Problem
from schemas.api_key import PREFIX, read_key
from schemas.pipeline.registry import Script
from schemas.pipeline.sender import Sender
from sinks.postgres.registry.producers import ProducerRegistry

_BEARER: Final = b"bearer "
_KEY_PREFIX: Final = PREFIX.encode()
_LONGEST_ORIGIN = 300
_MOST_FIELDS: Final = 20


class KeyRefused(Problem):
    """The request's API key was issued by this installation, but is revoked or not valid for this script."""


class Grant(NamedTuple):
    """An authorised request: its script, and its origin (of a web page) if an ingest token proves one."""

    script: Script
    origin: str | None

    @property
    def sender(self) -> Sender:
        """Return the sender class: `visitor` if a token proves an origin, `server` for an API key."""
        return Sender.SERVER if self.origin is None else Sender.VISITOR


def origin_of(headers: Mapping[bytes, bytes]) -> str | None:
    """Return the origin from the request's Origin header, or else from its Referer header; None if neither has one."""
    origin = headers.get(b"origin")
    if origin is None and (referer := headers.get(b"referer")) is not None:
        scheme, separator, rest = referer.partition(b"://")
        # These are all characters that end a host by the rules of some parser.
        for end in (b"/", b"?", b"#", b"\\"):
            rest = rest.partition(end)[0]
        origin = scheme + separator + rest
    if not origin or len(origin) > _LONGEST_ORIGIN or not origin.isascii():
        return None
    return origin.decode()


def known_script(producers: ProducerRegistry, script_id: str) -> Script:
    """Return the script; raises Problem if the script is not registered or is disabled."""
    script = producers.current.get(script_id)
    if script is None:
        raise Problem(Code.UNKNOWN_SCRIPT)
    if not script.enabled:
        raise Problem(Code.SCRIPT_DISABLED)
    return script


def allowed_origin(producers: ProducerRegistry, script_id: str, headers: Mapping[bytes, bytes]) -> str:
    """Return the request's origin; raises Problem if it is not one of the script's allowed origins."""
    origin = origin_of(headers)
    if origin is None:
        raise Problem(Code.ORIGIN_MISSING)
    if origin not in producers.origins.get(script_id, ()):
        raise Problem(Code.ORIGIN_NOT_ALLOWED)
    return origin


def admit(
    producers: ProducerRegistry, tokens: IngestTokens, script_id: str, headers: Mapping[bytes, bytes], query: bytes
) -> Grant:
    """Authorise a request that sends events of this script (a registered source of a site's events).

    Raises Problem if the request is refused: KeyRefused if it has an API key that this installation has issued.
    """
    script = known_script(producers, script_id)
    if script.paused:
        raise Problem(Code.SCRIPT_PAUSED)
    given = headers.get(b"authorization")
    if given is not None:
        if given[: len(_BEARER)].lower() != _BEARER:
            raise Problem(Code.TOKEN_FORGED, "Authorization must be `Bearer` and an API key or ingest token")
        credential = given[len(_BEARER) :].strip()
        if credential.startswith(_KEY_PREFIX):
            _check_key(producers, credential, script_id)
            return Grant(script, None)
    elif (credential := _from_query(query)) == b"":
        raise Problem(Code.TOKEN_MISSING)
    elif credential.startswith(_KEY_PREFIX):
        raise Problem(Code.TOKEN_FORGED, "an API key is only accepted in the Authorization header, not in the URL")
    origin = tokens.check(credential, script_id, origin_of(headers))
    if origin not in producers.origins.get(script_id, ()):
        raise Problem(Code.ORIGIN_NOT_ALLOWED, "the origin was removed from the script's allowed origins")
    return Grant(script, origin)


def has_key(producers: ProducerRegistry, script_id: str, headers: Mapping[bytes, bytes]) -> bool:
    """Return whether the request has an API key that is valid for this script."""
    given = headers.get(b"authorization", b"")
    if given[: len(_BEARER)].lower() != _BEARER:
        return False
    try:
        _check_key(producers, given[len(_BEARER) :].strip(), script_id)
    except Problem:
        return False
    return True


def _from_query(query: bytes) -> bytes:
    """Return the token from the query string. navigator.sendBeacon sends it there, because it can't set headers."""
    for field in query.split(b"&", _MOST_FIELDS)[:_MOST_FIELDS]:
        name, _, value = field.partition(b"=")
        if name == b"token" and value:
            # A token has no escaped characters. To decode escapes would cost more than the rest of a refusal.
            return value
    return b""


def _check_key(producers: ProducerRegistry, credential: bytes, script_id: str) -> None:
    read = read_key(credential.decode("latin-1"))
    known = None if read is None else producers.keys.get(read[0])
    if read is None or known is None or not hmac.compare_digest(known.digest, read[1]):
        raise Problem(Code.TOKEN_FORGED)
    if known.revoked:
        raise KeyRefused(Code.TOKEN_REVOKED)
    if known.script_id != script_id:
        raise KeyRefused(Code.TOKEN_WRONG_SCRIPT)
