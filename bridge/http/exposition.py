"""`/metrics`: the metrics of this process, or of all processes of one command together."""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from bridge.http.token_buckets import Buckets
from telemetry import metrics
from telemetry.shared_values import DIRECTORY, Together

_MOST_AT_ONCE: Final = 10


class _Resources(Collector):
    """The process metrics of the Prometheus client, summed over the first process and its children."""

    def collect(self) -> Iterable[Metric]:
        parent = multiprocessing.parent_process()
        first = psutil.Process(None if parent is None else parent.pid)
        memory, files, youngest, own = 0, 0, 0.0, first.cpu_times()
        # The first process includes the processor time of ended children, so the sum never falls.
        seconds = own.children_user + own.children_system
        for one in (first, *first.children()):
            with suppress(psutil.NoSuchProcess), one.oneshot():
                times = one.cpu_times()
                seconds += times.user + times.system
                memory += one.memory_info().rss
                files += one.num_fds()
                youngest = max(youngest, one.create_time())
        yield CounterMetricFamily("process_cpu_seconds", "User and system time of all processes.", value=seconds)
        yield GaugeMetricFamily("process_resident_memory_bytes", "Memory of all processes.", value=memory)
        yield GaugeMetricFamily("process_open_fds", "Open files of all processes.", value=files)
        yield GaugeMetricFamily("process_start_time_seconds", "When the youngest process began.", value=youngest)


class Exposition:
    """The response of `/metrics`.

    The text is built at most once a second (after a burst of ten), however many requests arrive.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._made = Buckets("pages of figures", 1.0, now, burst=_MOST_AT_ONCE)
        self._last: tuple[bytes, str] | None = None

    def page(self) -> tuple[bytes, str]:
        """Return the text, at most a second old, and its media type."""
        if self._made.grant("all") or self._last is None:
            self._last = _exposition()
        return self._last


def _exposition() -> tuple[bytes, str]:
    directory = os.environ.get(DIRECTORY)
    if not directory:
        return generate_latest(metrics.REGISTRY), CONTENT_TYPE_LATEST
    registry = CollectorRegistry()
    for collector in (Together(Path(directory)), _Resources(), metrics.NETWORK, metrics.BUILD):
        registry.register(collector)
    return generate_latest(registry), CONTENT_TYPE_LATEST
