"""What is done with a change of the gate's verdict: it is logged."""

import structlog

log = structlog.get_logger(__name__)

_SHOWN_BYTES = 2048


def log_verdict(verdict: bytes | None) -> None:
    """Logs one verdict as it came; a null one is a compacted key's end and says nothing."""
    if verdict is not None:
        log.warning("gate_verdict", verdict=verdict[:_SHOWN_BYTES].decode("utf-8", "replace"))
