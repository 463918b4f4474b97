"""`python -m bench.rig.alternating_worker`: `bridge worker` with its instrumentation removed and restored in turn.

Two processes differ by more than the instrumentation: their memory layout, and the machine's load at the time of the
second. So one process runs both ways, and prints the cost of each slice of time on standard output. The product has no
switch for this: the metrics are replaced, since every place that counts looks them up in `telemetry.metrics` by name.
"""

import asyncio
import json
import os
import sys
import time
import urllib.request
from collections.abc import Callable, Coroutine, Sequence
from contextlib import nullcontext, suppress
from typing import Any, Final

from prometheus_client.metrics import MetricWrapperBase

from bridge.dev.stack.ports import LOOPBACK
from schemas.pipeline.outcome import Outcomes
from sinks.ports import CommitResult
from streams.worker import commit_metrics
from streams.worker.gauges import Observation
from telemetry import metrics

SLICE: Final = "BENCH_SLICE_SECONDS"
PORT: Final = "BRIDGE_METRICS_PORT"


class Nothing:
    """A metric that ignores all calls."""

    def labels(self, *_: object, **__: object) -> "Nothing":
        return self

    def inc(self, *_: object) -> None: ...

    def dec(self, *_: object) -> None: ...

    def set(self, *_: object) -> None: ...

    def observe(self, *_: object) -> None: ...

    def remove(self, *_: object) -> None: ...

    def time(self) -> "nullcontext[None]":
        return nullcontext()

    def track_inprogress(self) -> "nullcontext[None]":
        return nullcontext()


class Instrumentation:
    """All metrics of the product, which can be removed and restored; events are counted either way."""

    def __init__(self) -> None:
        self.events = 0
        nothing = Nothing()
        self._settled = self._counting(commit_metrics.settled)
        self._uncounted = self._counting(lambda *_: None)
        counting = {name: one for name, one in vars(metrics).items() if isinstance(one, MetricWrapperBase)}
        self._there: dict[str, object] = counting | {
            "phase": metrics.phase,
            "forget_lane": metrics.forget_lane,
        }
        self._gone: dict[str, object] = dict.fromkeys(counting, nothing) | {
            "phase": lambda _name: nullcontext(),
            "forget_lane": lambda *_: None,
        }

    def _counting(self, told: Callable[..., None]) -> Callable[..., None]:
        def settled(committed: CommitResult, outcomes: Sequence[Outcomes], now_ms: int, raw_topic: str) -> None:
            self.events += committed.tally.processed
            told(committed, outcomes, now_ms, raw_topic)

        return settled

    def set(self, *, there: bool) -> None:
        """Restore everything, or remove everything."""
        for name, one in (self._there if there else self._gone).items():
            setattr(metrics, name, one)
        commit_metrics.settled = self._settled if there else self._uncounted


async def _read_page() -> None:
    """Read the metrics page, as Prometheus does four times a minute, once a slice; the client's cost counts too."""

    def read() -> None:
        with (
            suppress(OSError),
            urllib.request.urlopen(f"http://{LOOPBACK}:{os.environ[PORT]}/metrics", timeout=5) as page,
        ):
            page.read()

    await asyncio.to_thread(read)


async def alternate(work: Callable[[], list[Coroutine[Any, Any, None]]]) -> None:
    """Alternate until cancelled; `work` returns the tasks that run beside the lanes while they are instrumented."""
    instrumentation, seconds = Instrumentation(), float(os.environ[SLICE])
    there = True
    while True:
        instrumentation.set(there=there)
        tasks = [asyncio.create_task(one) for one in (*work(), _read_page())] if there else []
        events, cpu = instrumentation.events, time.process_time()
        await asyncio.sleep(seconds)
        events, cpu = instrumentation.events - events, time.process_time() - cpu
        sys.stdout.write(json.dumps({"there": there, "events": events, "cpu_seconds": cpu}) + "\n")
        sys.stdout.flush()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        there = not there


if __name__ == "__main__":
    whole = Observation.work
    Observation.work = lambda self: [alternate(lambda: whole(self))]  # type: ignore[method-assign]  # for this process
    from bridge.cli import main

    sys.argv[1:] = ["worker"]
    main()
