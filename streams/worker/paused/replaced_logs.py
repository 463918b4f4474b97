"""Partitions whose log in Kafka was recreated, truncated or replaced by that of another cluster.

They stay paused. The module also decides when their logs are checked again.
"""

from collections.abc import Iterable
from typing import Final

import structlog

from schemas.pipeline.pause import PauseReason
from schemas.pipeline.record import TopicPartition
from streams.source.log_identity import REMEDY, Examined
from streams.worker.paused.pauses import Pauses

LOOK_SECONDS: Final = 5.0
"""The longest time until a lane notices that a log was adopted or that the old one is back, in seconds."""

log = structlog.get_logger(__name__)


class ReplacedLogs:
    """The partitions of one lane (a task of the worker) whose log in Kafka is not the one that was read before.

    They stay paused. Times are in seconds of the lane's monotonic clock.
    """

    def __init__(self, pauses: Pauses) -> None:
        self._pauses = pauses
        self._why: dict[TopicPartition, str] = {}
        self._look_at = 0.0

    def found(self, examined: Iterable[Examined], now: float) -> None:
        """Store which of the examined logs were replaced, that is, are not the logs that were read before.

        Log new ones.
        """
        before, self._why = self._why, {one.log: one.foreign for one in examined if one.foreign is not None}
        self._pauses.replace(PauseReason.REPLACED_LOG, self._why)
        self._look_at = now + LOOK_SECONDS
        for source, why in self._why.items():
            if before.get(source) != why:
                log.error("partition_paused_replaced_log", **source._asdict(), why=why, do=REMEDY)

    def is_time(self, now: float) -> bool:
        """Return whether the replaced logs are to be examined again now. It is then not time again for LOOK_SECONDS."""
        if not self._why or now < self._look_at:
            return False
        self._look_at = now + LOOK_SECONDS
        return True
