"""The signature of a webhook call by the Standard Webhooks scheme. This module needs only Python's standard library."""

import base64
import hashlib
import hmac
from collections.abc import Sequence

from schemas.config.derived_keys import signing_key


def signed_headers(body: bytes, secrets: Sequence[str], *, message_id: str, timestamp: int) -> dict[str, str]:
    """Return the headers that sign a webhook call: its id, its time in seconds, and one signature for each secret.

    A signature is the HMAC-SHA256 of id, time and body. A receiver accepts a call if one of the signatures is correct.
    """
    headers = {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
    }
    signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
    digests = [hmac.digest(signing_key(secret), signed, hashlib.sha256) for secret in secrets]
    if digests:
        headers["webhook-signature"] = " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests)
    return headers
