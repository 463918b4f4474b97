"""The live verdict: judged on a timer, every change published on the gate's topic and told once by webhook."""

from collections.abc import Awaitable, Callable

import structlog

from schemas.errors import BridgeError
from schemas.gate import GateChange
from schemas.settings import Settings
from sinks.postgres.gate.verdicts import judge, published

log = structlog.get_logger(__name__)

Publish = Callable[[GateChange], Awaitable[None]]


async def judge_and_publish(settings: Settings, publish: Publish) -> int:
    """One look at all windows; how many changes were published. What can't be published now is tried at the next."""
    try:
        changes = await judge(settings.dsn, settings.seconds("gate_window"), settings.gate_limits)
        for change in changes:
            await publish(change)
        if changes:
            await published(settings.dsn, changes)
    except BridgeError as error:
        log.warning("gate_not_judged", error=str(error))
        return 0
    return len(changes)
