"""Keeps the gauges that no settlement moves: lag, the event loop, and what Postgres knows of the backlog."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import structlog

from schemas.config.settings import Settings
from schemas.errors import BridgeError
from schemas.pipeline.record import TopicPartition
from sinks.postgres.stats.backlog import read_backlog, shown
from streams.rules.lag import Lag
from streams.rules.retry_policy import tier_labels
from streams.source.kafka import KafkaSource
from streams.source.open_transactions import OpenTransactions
from streams.worker.lane import Lane
from telemetry import metrics

TICK_SECONDS: Final = 1.0

log = structlog.get_logger(__name__)


async def _harmless(work: Coroutine[Any, Any, None]) -> None:
    """Figures are worth no worker: a defect in their making is said, and seen by their age."""
    try:
        await work
    except Exception:
        log.exception("observation_ended")


class Observation:
    """Looks at the lanes' partitions from outside of them, so that a lane that waits or is stuck is seen to lag."""

    def __init__(self, settings: Settings, source: KafkaSource, lanes: Callable[[], Sequence[Lane]]) -> None:
        self._settings = settings
        self._source = source
        self._lanes = lanes
        self._lag = Lag()
        self._ends_read = 0.0
        self._transactions = OpenTransactions()
        self._lag_series = metrics.Replaced()
        self._backlog_series = metrics.Replaced()

    def work(self) -> list[Coroutine[Any, Any, None]]:
        """What is to run beside the lanes, until cancelled."""
        return [_harmless(one) for one in (self._tick(), self._see_ends(), self._read_backlog())]

    async def _tick(self) -> None:
        """Shows the lag each second, also while Kafka does not answer: it grows."""
        while True:
            asked = time.monotonic()
            await asyncio.sleep(TICK_SECONDS)
            metrics.EVENT_LOOP_LAG.set(max(0.0, time.monotonic() - asked - TICK_SECONDS))
            self.show_lag()

    def show_lag(self) -> None:
        """Writes the lag of every partition that is read; series of the others vanish."""
        now, now_ms = time.monotonic(), time.time_ns() // 1_000_000
        values: metrics.Values = {}
        for source, stands in self._stands().items():
            place = (source.in_kafka.topic, str(source.partition))
            values[metrics.SETTLED_OFFSET, place] = float(stands)
            records = self._lag.records(source, stands)
            if records is None:
                continue
            values[metrics.LAG_RECORDS, place] = float(records)
            values |= self._held_back(source, place, now)
            if place[0] == self._settings.topics.raw:
                seconds = self._lag.seconds(source, stands, self._source.heads.get(source), now, now_ms)
                values[metrics.LAG_SECONDS, place] = seconds or 0.0
        self._lag_series.show(values)
        # Here, so that it tells of a figure that is no longer made as well as of a Kafka that does not answer.
        metrics.LOG_ENDS_READ.set(self._ends_read)

    def _held_back(self, source: TopicPartition, place: tuple[str, str], now: float) -> metrics.Values:
        """No series of a log that is not fetched from: what is in its way is another matter."""
        sight = self._source.sight(source)
        if sight is None:
            self._transactions.forget(source)
            return {}
        return {(metrics.OPEN_TRANSACTION_SECONDS, place): self._transactions.seconds(source, sight, now)}

    def _stands(self) -> dict[TopicPartition, int]:
        return {source: offset for lane in self._lanes() for source, offset in lane.stands.items()}

    async def _see_ends(self) -> None:
        while True:
            try:
                asked = time.monotonic()
                self._lag.see(await self._source.ends(self._stands()), asked)
                self._ends_read = time.time()
            except BridgeError as error:
                log.debug("ends_not_read", error=str(error))
            await asyncio.sleep(self._settings.seconds("lag_interval"))

    async def _read_backlog(self) -> None:
        tier_of = tier_labels(self._settings)
        while True:
            try:
                found = await read_backlog(self._settings.dsn, self._settings.group)
            except BridgeError as error:
                # The series stay as they were; that of the reading's time tells how old they are.
                log.debug("backlog_not_read", error=str(error))
            else:
                self._backlog_series.show(shown(found, tier_of))
            await asyncio.sleep(self._settings.seconds("backlog_interval"))
