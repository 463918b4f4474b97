"""The quality gate's verdict on the last window of time, which a timer evaluates.

The gate is the rule for which share of dropped and retried events is acceptable. Each change of the verdict (pass or
fail) is published on the gate's topic.
"""

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
    """Evaluate the quality gate once for every site and the total; return how many changes of verdict were published.

    `publish` is called with each change. The next run repeats a publication that failed.
    """
    try:
        rule = window_rule(settings.gate_limits)
        changes = await judge(settings.dsn, settings.gate_window.seconds, rule)
        for change in changes:
            await publish(change)
        if changes:
            await published(settings.dsn, changes)
    except BridgeError as error:
        log.warning("gate_evaluation_failed", error=str(error))
        return 0
    return len(changes)
