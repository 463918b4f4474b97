"""What is done with a change of the gate's verdict: it is logged, and somebody is told by webhook."""

import structlog
from pydantic import ValidationError

from schemas.config.settings import Settings
from schemas.documents.gate import GateChange
from schemas.errors import RowRejected, SinkUnavailable
from sinks.postgres.gate.verdicts import standing_change
from sinks.webhook import call_webhook

log = structlog.get_logger(__name__)

_SHOWN_BYTES = 2048
_SHOWN_REASONS = 500


async def tell(settings: Settings, verdict: bytes | None) -> None:
    """Tells one change; a null one is a compacted key's end and says nothing. Never raises, whatever it is given.

    Whoever may write to the gate's topic writes verdicts there: what is told is what Postgres says of the change. One that
    it does not know is forged, or another one has come since, which is told itself.
    """
    if verdict is None:
        return
    try:
        claimed = GateChange.model_validate_json(verdict)
    except ValidationError:
        log.warning("gate_verdict_unreadable", verdict=verdict[:_SHOWN_BYTES].decode("utf-8", "replace"))
        return
    change = await _judged(settings, claimed)
    if change is None:
        log.warning(
            "gate_verdict_unknown", target=claimed.target[:_SHOWN_BYTES], change_id=claimed.change_id[:_SHOWN_BYTES]
        )
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


async def _judged(settings: Settings, claimed: GateChange) -> GateChange | None:
    """The change by Postgres' word; by its own, where Postgres does not answer: a failure is not to be missed then."""
    try:
        return await standing_change(settings.dsn, claimed.target, claimed.change_id)
    except SinkUnavailable as error:
        log.warning("gate_verdict_unproven", error=str(error))
        return claimed
    except RowRejected:
        return None
