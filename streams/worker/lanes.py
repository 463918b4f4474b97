"""The assignment of partitions to lanes, and the start and end of all lanes at a rebalance.

A lane is a task that reads some partitions and commits their batches in order.
"""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial

import structlog

from schemas.pipeline.pause import PauseReason
from schemas.pipeline.record import TopicPartition
from streams.worker.lane import Lane
from streams.worker.lane_parts import LaneParts
from streams.worker.retry_lane import RetryLane
from telemetry import metrics

CANCEL_SECONDS = 5.0

log = structlog.get_logger(__name__)


class Lanes:
    """The lanes of a worker: the tasks that read the partitions which Kafka has assigned to it.

    After a rebalance, all lanes of the old assignment end before those of the new one begin. `on_end` is called with
    the task of a lane that has ended.
    """

    def __init__(self, parts: LaneParts, *, count: int, on_end: Callable[["asyncio.Task[None]"], None]) -> None:
        self._parts = parts
        self._count = count
        self._on_end = on_end
        self._running: dict[Lane, asyncio.Task[None]] = {}
        self._ending = asyncio.Lock()
        self._closed = False
        for reason in PauseReason:
            metrics.PAUSED.labels(reason.value).set_function(partial(self._paused, reason))

    def _paused(self, reason: PauseReason) -> int:
        return sum(lane.paused(reason) for lane in self.lanes)

    @property
    def lanes(self) -> list[Lane]:
        """The lanes of the current assignment."""
        return list(self._running)

    def health(self) -> dict[str, bool]:
        """Return whether the worker has lanes (tasks that read partitions), and none of them waits for a service.

        Otherwise the worker is degraded. Without lanes, other workers have the partitions.
        """
        return {"lanes": bool(self._running) and not any(lane.waiting for lane in self._running)}

    def figures(self) -> dict[str, int]:
        """Return the number of assigned partitions, for the body of `/ready`."""
        return {"partitions": sum(len(lane.sources) for lane in self._running)}

    def begin(self, assigned: Iterable[TopicPartition]) -> None:
        """Start lanes (tasks that each read some partitions) for the partitions that Kafka has newly assigned.

        The raw topic's partitions are spread over several lanes. All retry topics share one lane.
        """
        if self._closed:
            return
        shares: dict[str, list[TopicPartition]] = {}
        retries = self._parts.policy.delays_ms
        for source in sorted(assigned):
            name = "retry" if source.topic in retries else f"raw-{source.partition % self._count}"
            shares.setdefault(name, []).append(source)
        for name, sources in shares.items():
            make = RetryLane if name == "retry" else Lane
            lane = make(name, sources, self._parts)
            task = asyncio.create_task(lane.run(), name=f"lane {name}")
            task.add_done_callback(self._on_end)
            self._running[lane] = task
        metrics.ASSIGNED.set(sum(len(lane.sources) for lane in self._running))
        metrics.LANES.set(len(self._running))

    async def close(self, budget_seconds: float) -> None:
        """End the lanes (the tasks that read partitions) as `end` does, and start none for later assignments."""
        self._closed = True
        await self.end(budget_seconds)

    async def end(self, budget_seconds: float) -> None:
        """Wait at most `budget_seconds` for each lane to commit its batch in flight, then cancel the lane's task.

        Records that were not committed are read again. A concurrent call waits until the first call has finished.
        """
        async with self._ending:
            running, self._running = self._running, {}
            for lane in running:
                lane.stop()
            if running:
                await asyncio.wait(running.values(), timeout=budget_seconds)
            late = {lane: task for lane, task in running.items() if not task.done()}
            for lane, task in late.items():
                log.warning("batch_abandoned_on_revoke", lane=task.get_name(), budget_seconds=budget_seconds)
                lane.abandon()
                task.cancel()
            if late:
                _, lost = await asyncio.wait(late.values(), timeout=CANCEL_SECONDS)
                for task in lost:
                    log.error("lane_stop_timed_out", lane=task.get_name())
            metrics.ASSIGNED.set(0)
            metrics.LANES.set(0)
