"""Headers as the gateway writes them, signed with the key of tests and development."""

from schemas.kafka import headers as names
from schemas.kafka.gateway_proof import DEVELOPMENT_KEY, ProofKeys
from schemas.pipeline.sender import Sender
from streams.pipeline.trust import GatewayTrust

KEYS = ProofKeys([DEVELOPMENT_KEY])
TRUST = GatewayTrust(KEYS)


def gateway_headers(
    value: bytes,
    *,
    site_id: int = 1,
    script_id: str = "shop",
    sender: Sender = Sender.SERVER,
    origin: str | None = None,
    event_id: str | None = None,
    received_at_ms: int | None = None,
    keys: ProofKeys = KEYS,
) -> list[tuple[str, bytes | None]]:
    """Make the headers of a gateway with these keys for a record of that value."""
    stated = {
        names.RECEIVED_AT: None if received_at_ms is None else str(received_at_ms),
        names.SITE_ID: str(site_id),
        names.SCRIPT_ID: script_id,
        names.SENDER: sender.value,
        names.ORIGIN: origin,
        names.EVENT_ID: event_id,
    }
    headers: list[tuple[str, bytes | None]] = [(name, text.encode()) for name, text in stated.items() if text]
    proof = keys.seal(site_id, script_id, sender, origin).proof((event_id or "").encode(), value)
    return [*headers, (names.PROOF, proof)]


def legacy_headers(**given: object) -> list[tuple[str, bytes | None]]:
    """Make the headers of the previous release's gateway, without sender class and proof."""
    unproven = (names.SENDER, names.PROOF)
    return [pair for pair in gateway_headers(b"", **given) if pair[0] not in unproven]  # type: ignore[arg-type]
