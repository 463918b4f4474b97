"""`/metrics`: the figures of this process, or of all processes of the gateway together."""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from sinks import metrics

DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Where processes leave their figures for each other; must be set before metrics are imported."""

_FILE = re.compile(r"\w+_(\d+)\.db")


class _Together(Collector):
    """What the processes tell together. A worker's gauges would bear their pids: a series for each process there was."""

    def __init__(self, directory: str) -> None:
        self._processes = MultiProcessCollector(None, directory)  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        for one in self._processes.collect():  # type: ignore[no-untyped-call]
            one.samples = [sample for sample in one.samples if "pid" not in sample.labels]
            if one.samples:
                yield one


class _Processes(Collector):
    """What the client library tells of one process, of all that run: their sum, and when the youngest began."""

    def __init__(self, pids: Iterable[int]) -> None:
        self._pids = sorted(pids)

    def collect(self) -> Iterable[Metric]:
        memory, seconds, files, began = 0.0, 0.0, 0.0, 0.0
        for pid in self._pids:
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                with process.oneshot():
                    memory += process.memory_info().rss
                    times = process.cpu_times()
                    seconds += times.user + times.system
                    files += process.num_fds()
                    began = max(began, process.create_time())
        yield GaugeMetricFamily("process_resident_memory_bytes", "Resident memory size in bytes.", memory)
        yield CounterMetricFamily("process_cpu_seconds", "Total user and system CPU time spent in seconds.", seconds)
        yield GaugeMetricFamily("process_open_fds", "Number of open file descriptors.", files)
        yield GaugeMetricFamily("process_start_time_seconds", "Start time of the process in seconds.", began)


def exposition() -> tuple[bytes, str]:
    """The text and its media type."""
    directory = os.environ.get(DIRECTORY)
    if not directory:
        return generate_latest(metrics.REGISTRY), CONTENT_TYPE_LATEST
    running = set()
    for entry in Path(directory).iterdir():
        match = _FILE.fullmatch(entry.name)
        if match and psutil.pid_exists(int(match[1])):
            running.add(int(match[1]))
        elif match and entry.name.startswith("gauge_"):
            # Counters of one that is gone go on counting.
            entry.unlink(missing_ok=True)
    registry = CollectorRegistry()
    for collector in (_Together(directory), _Processes(running), metrics.NETWORK, metrics.BUILD):
        registry.register(collector)
    return generate_latest(registry), CONTENT_TYPE_LATEST
