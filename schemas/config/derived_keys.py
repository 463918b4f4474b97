"""Keys derived from BRIDGE_SECRET_KEY, one for each purpose: HMAC-SHA256 of the purpose's label (SP 800-108)."""

import base64
import binascii
import hmac
from enum import Enum
from typing import Final

WHSEC: Final = "whsec_"
"""The prefix by which Standard Webhooks marks a secret in base64."""


class Purpose(Enum):
    """The purposes of derived keys.

    The value is the label; changing it invalidates everything signed with the old key.
    """

    WEBHOOK = b"ghostlink bridge webhook 1"
    INGEST_TOKEN = b"ghostlink bridge ingest token 1"
    GATEWAY_PROOF = b"ghostlink bridge gateway proof 1"
    SESSION = b"ghostlink bridge session 1"


def derived_key(secret: str, purpose: Purpose) -> bytes:
    """Return the 32-byte key of one purpose. It reveals neither `secret` nor the keys of other purposes."""
    return hmac.digest(secret.encode(), purpose.value, "sha256")


def webhook_secret(secret: str) -> str:
    """Return the derived webhook key in the form for receivers: `whsec_` and base64 (Standard Webhooks)."""
    return WHSEC + base64.b64encode(derived_key(secret, Purpose.WEBHOOK)).decode()


def proof_key(secret: str) -> str:
    """Return the derived key of the gateway's proof (its signature), as the value of BRIDGE_GATEWAY_PROOF_KEY."""
    return derived_key(secret, Purpose.GATEWAY_PROOF).hex()


def signing_key(secret: str) -> bytes:
    """Return the bytes of the key in a secret: decoded from base64 after `whsec_`, else the text itself."""
    encoded = secret.removeprefix(WHSEC)
    if encoded != secret:
        try:
            return base64.b64decode(encoded, validate=True)
        except binascii.Error:
            pass
    return secret.encode()
