"""Ingest tokens of browsers. A token is signed, short-lived, and valid for one script from one origin."""

import base64
import binascii
import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec

from bridge.http.problems import Code, Problem
from schemas.config.derived_keys import Purpose, derived_key

_LONGEST = 2048


class IngestToken(NamedTuple):
    """A new token, and the time at which it expires."""

    text: str
    expires_at: datetime


class _Claims(msgspec.Struct):
    script: str
    origin: str
    expires: int


_claims = msgspec.json.Decoder(_Claims).decode


class IngestTokens:
    """Issues and checks tokens; `now` returns seconds since the epoch.

    All processes with the same secret accept each other's tokens.
    """

    def __init__(self, secret: str, ttl_seconds: float, now: Callable[[], float]) -> None:
        self._key = derived_key(secret, Purpose.INGEST_TOKEN)
        self.ttl_seconds = int(ttl_seconds)
        self._now = now

    def issue(self, script_id: str, origin: str) -> IngestToken:
        """Issue a token for this script from this origin."""
        expires = int(self._now()) + self.ttl_seconds
        claims = _encoded(msgspec.json.encode(_Claims(script_id, origin, expires)))
        signature = _encoded(hmac.digest(self._key, claims, "sha256"))
        return IngestToken((claims + b"." + signature).decode(), datetime.fromtimestamp(expires, UTC))

    def check(self, token: bytes, script_id: str, origin: str | None) -> str:
        """Return the origin for which the token is valid; raises Problem, with the reason, if it is not valid."""
        claims, _, signature = token.partition(b".")
        expected = _encoded(hmac.digest(self._key, claims, "sha256"))
        if len(token) > _LONGEST or not hmac.compare_digest(signature, expected):
            raise Problem(Code.TOKEN_FORGED)
        try:
            read = _claims(_decoded(claims))
        except (msgspec.MsgspecError, binascii.Error, UnicodeDecodeError):
            raise Problem(Code.TOKEN_FORGED) from None
        if read.expires <= self._now():
            raise Problem(Code.TOKEN_EXPIRED)
        if read.script != script_id:
            raise Problem(Code.TOKEN_WRONG_SCRIPT)
        if origin is None:
            raise Problem(Code.ORIGIN_MISSING)
        if read.origin != origin:
            raise Problem(Code.TOKEN_WRONG_ORIGIN)
        return origin


def _encoded(text: bytes) -> bytes:
    return base64.urlsafe_b64encode(text).rstrip(b"=")


def _decoded(text: bytes) -> bytes:
    return base64.urlsafe_b64decode(text + b"=" * (-len(text) % 4))
