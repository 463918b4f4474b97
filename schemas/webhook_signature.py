"""The signature of a webhook's call by the Standard Webhooks scheme. Needs the standard library only."""

import base64
import hashlib
import hmac
from collections.abc import Sequence

from schemas.config.derived_keys import signing_key


def signed_headers(body: bytes, secrets: Sequence[str], *, message_id: str, timestamp: int) -> dict[str, str]:
    """Return the scheme's headers: id, time in seconds, and for each secret an HMAC-SHA256 over both and the body.

    Receivers accept a call if one of the signatures is theirs.
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
