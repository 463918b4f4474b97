"""`/metrics`: the metrics of this process, or of all processes of the gateway together."""

import multiprocessing
import os
import re
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from bridge.http.token_buckets import Buckets
from telemetry import metrics

DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Variable with the directory in which processes share their metrics. It must be set before metrics are imported."""

_MOST_AT_ONCE: Final = 10
_GAUGE_FILE = re.compile(r"gauge_\w+_(\d+)\.db")


class _Together(Collector):
    """The metrics of all processes together, without the gauges of single processes.

    A gauge of a single process has the pid as a label, so every process that ever ran would add a time series.
    """

    def __init__(self, directory: str) -> None:
        self._processes = MultiProcessCollector(None, directory)  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        for one in self._processes.collect():  # type: ignore[no-untyped-call]
            one.samples = [sample for sample in one.samples if "pid" not in sample.labels]
            if one.samples:
                yield one


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
    for entry in Path(directory).iterdir():
        match = _GAUGE_FILE.fullmatch(entry.name)
        if match and not psutil.pid_exists(int(match[1])):
            # The counters of an ended process are still part of the sum.
            entry.unlink(missing_ok=True)
    registry = CollectorRegistry()
    for collector in (_Together(directory), _Resources(), metrics.NETWORK, metrics.BUILD):
        registry.register(collector)
    return generate_latest(registry), CONTENT_TYPE_LATEST
