"""Keys derived from BRIDGE_SECRET_KEY: one for each purpose, by HMAC-SHA256 over the purpose's label (NIST SP 800-108)."""

import base64
import binascii
import hmac
from enum import Enum
from typing import Final

WHSEC: Final = "whsec_"
"""The prefix of Standard Webhooks for a secret in base64."""


class Purpose(Enum):
    """The purposes of derived keys; the value is the label. A changed label invalidates what the old key signed."""

    WEBHOOK = b"ghostlink bridge webhook 1"
    INGEST_TOKEN = b"ghostlink bridge ingest token 1"
    GATEWAY_PROOF = b"ghostlink bridge gateway proof 1"
    SESSION = b"ghostlink bridge session 1"


def derived_key(secret: str, purpose: Purpose) -> bytes:
    """Return the 32-byte key of one purpose. It reveals neither `secret` nor the key of another purpose."""
    return hmac.digest(secret.encode(), purpose.value, "sha256")


def webhook_secret(secret: str) -> str:
    """Return the derived webhook key as a Standard Webhooks secret, `whsec_` and base64, for receivers."""
    return WHSEC + base64.b64encode(derived_key(secret, Purpose.WEBHOOK)).decode()


def proof_key(secret: str) -> str:
    """Return the derived key of the gateway's proof as the text of BRIDGE_GATEWAY_PROOF_KEY."""
    return derived_key(secret, Purpose.GATEWAY_PROOF).hex()


def signing_key(secret: str) -> bytes:
    """Return the key of a Standard Webhooks secret, `whsec_` and base64; any other text is the key itself."""
    encoded = secret.removeprefix(WHSEC)
    if encoded != secret:
        try:
            return base64.b64decode(encoded, validate=True)
        except binascii.Error:
            pass
    return secret.encode()
