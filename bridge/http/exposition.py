"""`/metrics`: the figures of this process, or of all processes of the gateway together."""

import os
import re
from pathlib import Path
from typing import Final

import psutil
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from sinks import metrics

DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Where processes leave their figures for each other; must be set before metrics are imported."""

_GAUGE_FILE = re.compile(r"gauge_live\w+_(\d+)\.db")


def exposition() -> tuple[bytes, str]:
    """The text and its media type."""
    directory = os.environ.get(DIRECTORY)
    if not directory:
        return generate_latest(metrics.REGISTRY), CONTENT_TYPE_LATEST
    for entry in Path(directory).iterdir():
        match = _GAUGE_FILE.fullmatch(entry.name)
        if match and not psutil.pid_exists(int(match[1])):
            mark_process_dead(int(match[1]), directory)  # type: ignore[no-untyped-call]
    registry = CollectorRegistry()
    MultiProcessCollector(registry, directory)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST
