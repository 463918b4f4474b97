"""`python -m bench.bare_worker`: `bridge worker` with nothing of its instrumentation left, for the comparison with it.

The product has no switch for this: what it counts by is replaced before the worker is made. Every place that counts
asks `sinks.metrics` by name, and the observer's loops are not begun.
"""

import sys
from contextlib import nullcontext

from prometheus_client.metrics import MetricWrapperBase

from sinks import metrics


class Nothing:
    """Takes whatever a metric is told, and keeps nothing of it."""

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


def strip() -> None:
    """Takes the metrics out, and the loops that keep gauges; the one-line functions that count whole settlements too."""
    from streams.observation import Observation

    nothing = Nothing()
    for name, one in vars(metrics).items():
        if isinstance(one, MetricWrapperBase):
            setattr(metrics, name, nothing)
    metrics.settled = lambda *_: None
    metrics.phase = lambda _name: nullcontext()
    metrics.forget_lane = lambda *_: None
    Observation.work = lambda _self: []


if __name__ == "__main__":
    strip()
    from bridge.cli import main

    sys.argv[1:] = ["worker"]
    main()
