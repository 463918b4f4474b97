"""The live verdict of the gate: evaluated on a timer; each change is published and sent once by webhook."""

from collections.abc import Awaitable, Callable

import structlog

from schemas.config.settings import Settings
from schemas.documents.gate import GateChange
from schemas.errors import BridgeError
from sinks.postgres.gate.verdicts import judge, published
from streams.rules.gate import window_rule

log = structlog.get_logger(__name__)

Publish = Callable[[GateChange], Awaitable[None]]


async def judge_and_publish(settings: Settings, publish: Publish) -> int:
    """Evaluate all windows once; return how many changes were published. The next run repeats a failed publication."""
    try:
        rule = window_rule(settings.gate_limits)
        changes = await judge(settings.dsn, settings.seconds("gate_window"), rule)
        for change in changes:
            await publish(change)
        if changes:
            await published(settings.dsn, changes)
    except BridgeError as error:
        log.warning("gate_evaluation_failed", error=str(error))
        return 0
    return len(changes)
