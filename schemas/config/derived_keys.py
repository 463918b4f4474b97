"""Keys that are derived from the secret BRIDGE_SECRET_KEY, one key for each purpose.

A key is the HMAC-SHA256 of the purpose's label (SP 800-108).
"""

import base64
import binascii
import hmac
from contextlib import suppress
from enum import Enum
from typing import Final

WHSEC: Final = "whsec_"
"""The prefix by which Standard Webhooks marks a secret in base64."""


class Purpose(Enum):
    """The purposes of derived keys. A member's value is the label from which the purpose's key is derived.

    A changed label changes the key, and thereby invalidates everything signed with the old key.
    For EVENT_ID it changes the ids of requests that are repeated.
    """

    WEBHOOK = b"ghostlink bridge webhook 1"
    INGEST_TOKEN = b"ghostlink bridge ingest token 1"
    GATEWAY_PROOF = b"ghostlink bridge gateway proof 1"
    SESSION = b"ghostlink bridge session 1"
    EVENT_ID = b"ghostlink bridge event id 1"


def derived_key(secret: str, purpose: Purpose) -> bytes:
    """Return the 32-byte key for one purpose. The key reveals neither `secret` nor the keys of other purposes."""
    return hmac.digest(secret.encode(), purpose.value, "sha256")


def webhook_secret(secret: str) -> str:
    """Return the derived key of webhook calls in the form of Standard Webhooks: `whsec_` and base64."""
    return WHSEC + base64.b64encode(derived_key(secret, Purpose.WEBHOOK)).decode()


def proof_key(secret: str) -> str:
    """Return the derived key with which a gateway signs events, in the form of the setting BRIDGE_GATEWAY_PROOF_KEY."""
    return derived_key(secret, Purpose.GATEWAY_PROOF).hex()


def signing_key(secret: str) -> bytes:
    """Return the key of a webhook secret as bytes.

    They are decoded from base64 after the prefix `whsec_`. Without the prefix they are the secret's text itself.
    """
    encoded = secret.removeprefix(WHSEC)
    if encoded != secret:
        with suppress(binascii.Error):
            return base64.b64decode(encoded, validate=True)
    return secret.encode()
