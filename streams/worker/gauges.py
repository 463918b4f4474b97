"""The worker's gauges that commits don't update: lag, the event loop's delay, and the number of waiting events."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import structlog

from schemas.config.settings import Settings
from schemas.errors import BridgeError
from schemas.instants import now_ms
from schemas.pipeline.pause import PauseReason
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
    """Run the work, and log its error instead of raising it, because a defect in metrics must not end the worker.

    A gauge with the time of the last update shows the failure.
    """
    try:
        await work
    except Exception:
        log.exception("gauges_task_failed")


class Observation:
    """An observer of the partitions that the lanes (the worker's tasks) read, for the worker's gauges.

    It runs beside the lanes, so that it also sees the lag of a stuck lane.
    """

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
        """Return the coroutines to run as tasks beside the worker's lanes. They run until they are cancelled."""
        return [_harmless(one) for one in (self._tick(), self._see_ends(), self._read_backlog())]

    async def _tick(self) -> None:
        """Update the lag each second, also while Kafka is away, so that the lag then grows."""
        while True:
            asked = time.monotonic()
            await asyncio.sleep(TICK_SECONDS)
            metrics.EVENT_LOOP_LAG.set(max(0.0, time.monotonic() - asked - TICK_SECONDS))
            self.show_pauses()
            self.show_lag()

    def show_pauses(self) -> None:
        """Set the number of paused partitions for processes that share their metrics; others compute it at each request."""
        lanes = self._lanes()
        for reason in PauseReason:
            metrics.PAUSED.labels(reason.value).set(sum(lane.paused(reason) for lane in lanes))

    def show_lag(self) -> None:
        """Set the lag metrics of every partition that this worker reads, and remove those of all other partitions."""
        now = time.monotonic()
        values: metrics.Values = {}
        for source, position in self._positions().items():
            place = (source.in_kafka.topic, str(source.partition))
            values[metrics.SETTLED_OFFSET, place] = float(position)
            records = self._lag.records(source, position)
            if records is None:
                continue
            values[metrics.LAG_RECORDS, place] = float(records)
            sight = self._source.sight(source)
            if sight is None:
                # The log was not fetched recently, so it is not known whether a producer's open transaction blocks it.
                self._transactions.forget(source)
            else:
                values[metrics.OPEN_TRANSACTION_SECONDS, place] = self._transactions.seconds(source, sight, now)
            if place[0] == self._settings.topics.raw:
                seconds = self._lag.seconds(source, position, self._source.heads.get(source), now, now_ms())
                values[metrics.LAG_SECONDS, place] = seconds or 0.0
        self._lag_series.show(values)
        # The time of the computation is set here. Its age then shows a failed computation, and a Kafka that does not
        # answer.
        metrics.LOG_ENDS_READ.set(self._ends_read)

    def _positions(self) -> dict[TopicPartition, int]:
        return {source: offset for lane in self._lanes() for source, offset in lane.positions.items()}

    async def _see_ends(self) -> None:
        while True:
            try:
                asked = time.monotonic()
                self._lag.see(await self._source.ends(self._positions()), asked)
                self._ends_read = time.time()
            except BridgeError as error:
                log.debug("end_offsets_fetch_failed", error=str(error))
            await asyncio.sleep(self._settings.lag_interval.seconds)

    async def _read_backlog(self) -> None:
        tier_of = tier_labels(self._settings)
        while True:
            try:
                found = await read_backlog(self._settings.dsn, self._settings.group)
            except BridgeError as error:
                # After a failed read the series keep their values. The gauge of the time of reading shows their age.
                log.debug("backlog_read_failed", error=str(error))
            else:
                self._backlog_series.show(shown(found, tier_of))
            await asyncio.sleep(self._settings.backlog_interval.seconds)
