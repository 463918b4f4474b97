"""`/metrics`: the figures of this process, or of all processes of the gateway together."""

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import psutil
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Metric, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from sinks import metrics

DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Where processes leave their figures for each other; must be set before metrics are imported."""

_GAUGE_FILE = re.compile(r"gauge_\w+_(\d+)\.db")


class _Together(Collector):
    """What the processes tell together. A worker's gauges would bear their pids: a series for each process there was."""

    def __init__(self, directory: str) -> None:
        self._processes = MultiProcessCollector(None, directory)  # type: ignore[no-untyped-call]

    def collect(self) -> Iterable[Metric]:
        for one in self._processes.collect():  # type: ignore[no-untyped-call]
            one.samples = [sample for sample in one.samples if "pid" not in sample.labels]
            if one.samples:
                yield one


def exposition() -> tuple[bytes, str]:
    """The text and its media type."""
    directory = os.environ.get(DIRECTORY)
    if not directory:
        return generate_latest(metrics.REGISTRY), CONTENT_TYPE_LATEST
    for entry in Path(directory).iterdir():
        match = _GAUGE_FILE.fullmatch(entry.name)
        if match and not psutil.pid_exists(int(match[1])):
            entry.unlink(missing_ok=True)
    registry = CollectorRegistry()
    registry.register(_Together(directory))
    return generate_latest(registry), CONTENT_TYPE_LATEST
