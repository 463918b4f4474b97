"""What is done with a change of the gate's verdict: it is logged, and somebody is told by webhook."""

import structlog
from pydantic import ValidationError

from schemas.gate import GateChange
from schemas.settings import Settings
from sinks.webhook import call_webhook

log = structlog.get_logger(__name__)

_SHOWN_BYTES = 2048
_SHOWN_REASONS = 500


async def tell(settings: Settings, verdict: bytes | None) -> None:
    """Tells one change; a null one is a compacted key's end and says nothing. Never raises, whatever it is given."""
    if verdict is None:
        return
    try:
        change = GateChange.model_validate_json(verdict)
    except ValidationError:
        log.warning("gate_verdict_unreadable", verdict=verdict[:_SHOWN_BYTES].decode("utf-8", "replace"))
        return
    log.warning("gate_verdict", **change.model_dump())
    if settings.worker_alert_webhook is None:
        return
    data = change.model_dump() | {"reasons": "; ".join(change.reasons)[:_SHOWN_REASONS]}
    await call_webhook(
        settings.worker_alert_webhook.get_secret_value(),
        settings.webhook_secrets,
        "bridge.gate.passed" if change.passed else "bridge.gate.failed",
        data,
        message_id=f"gate_{change.change_id}",
    )
