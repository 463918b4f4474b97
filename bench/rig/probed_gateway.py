"""A gateway that also reports the longest turn of its loop: `python -m bench.rig.probed_gateway`."""

import asyncio
import sys
import time
from typing import Any

from prometheus_client import Gauge

from bridge.cli import main
from bridge.gateway import app
from telemetry import metrics

_EVERY_SECONDS = 0.002


class _Probe:
    """The longest time since the last query: by the clock, and by the loop's own processor time."""

    def __init__(self) -> None:
        self.longest = {"clock": 0.0, "processor": 0.0}

    def take(self, what: str) -> float:
        found, self.longest[what] = self.longest[what], 0.0
        return found

    async def run(self) -> None:
        while True:
            at, cpu = time.perf_counter(), time.thread_time()
            await asyncio.sleep(_EVERY_SECONDS)
            late = time.perf_counter() - at - _EVERY_SECONDS
            self.longest["clock"] = max(self.longest["clock"], late)
            self.longest["processor"] = max(self.longest["processor"], time.thread_time() - cpu)


def probed() -> None:
    probe = _Probe()
    gauge = Gauge("bench_longest_hold_seconds", "Reset when read.", ["by"], registry=metrics.REGISTRY)
    for what in probe.longest:
        gauge.labels(what).set_function(lambda what=what: probe.take(what))
    keep_gauges = app._keep_gauges  # noqa: SLF001 - the probe runs beside it

    async def both(*given: Any) -> None:
        await asyncio.gather(keep_gauges(*given), probe.run())

    app._keep_gauges = both  # type: ignore[assignment]  # noqa: SLF001


if __name__ == "__main__":
    probed()
    sys.argv[1:] = ["gateway", "--port", "0"]
    main()
