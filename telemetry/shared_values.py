"""Metrics that several processes of one service share: each keeps its values in files of one directory.

A process that is started again in the place of another continues the other's files. So a counter never falls, and the
number of files is bounded.
"""

import math
import os
from collections.abc import Callable, Iterable
from multiprocessing import current_process
from pathlib import Path
from typing import Any, Final

from prometheus_client import Metric, values
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

DIRECTORY: Final = "PROMETHEUS_MULTIPROC_DIR"
"""Variable with the directory in which processes share their metrics. It must be set before metrics are imported."""

_LATEST: Final = "livemostrecent"
_LOWEST: Final = "livemin"
_MERGED: Final = {"livesum": "sum", "livemax": "highest", _LOWEST: "lowest", _LATEST: "latest"}


def are_shared() -> bool:
    """Return whether this process shares its metrics with others."""
    return DIRECTORY in os.environ


def share_values() -> None:
    """Keep the values of metrics in the shared directory, if there is one. Call this before a metric is defined.

    The files of a process have the name of its place, which does not change when it is started again.
    """
    if are_shared():
        values.ValueClass = values.MultiProcessValue(lambda: current_process().name)  # type: ignore[no-untyped-call]


def merged_by(metric: MetricWrapperBase) -> str:
    """Return how the series of several processes become one: `sum`, or for some gauges `highest`, `lowest`, `latest`."""
    return _MERGED[_mode(metric) or "livesum"]


def remove_series(metric: MetricWrapperBase, labels: Iterable[str]) -> None:
    """Remove the series with these values of its labels. A shared counter stays, as the sum of all processes."""
    if not are_shared():
        metric.remove(*labels)
    elif _mode(metric):
        # A file's entry can't be removed. This value marks it.
        series: Any = metric.labels(*labels)
        series.set(math.nan)


def shared_counter(counter: MetricWrapperBase) -> Callable[[float], None]:
    """Return a function that adds to a shared counter, for the supervisor: its own metrics are not shared.

    The shared directory must be known.
    """
    (family,) = counter.describe()
    made = values.MultiProcessValue(lambda: current_process().name)  # type: ignore[no-untyped-call]
    add: Callable[[float], None] = made(
        "counter", family.name, f"{family.name}_total", (), (), family.documentation
    ).inc
    return add


def forget_process(name: str, directory: Path) -> None:
    """Remove the gauges of an ended process. Its counters are still part of the sum."""
    mark_process_dead(name, str(directory))  # type: ignore[no-untyped-call]


class Together(Collector):
    """The metrics of all processes together: counters are added, and gauges merged by their modes."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def collect(self) -> Iterable[Metric]:
        found = MultiProcessCollector._read_metrics(_begun(self._directory))  # type: ignore[no-untyped-call]  # noqa: SLF001
        for one in found.values():
            # For the latest value, the time of the removal counts. Where the lowest counts, a process that has only
            # started, and so has 0, would hide the others.
            if _mode(one) != _LATEST:
                unset = 0 if _mode(one) == _LOWEST else math.nan
                one.samples = [each for each in one.samples if not math.isnan(each.value) and each.value != unset]
        for one in MultiProcessCollector._accumulate_metrics(found, True):  # type: ignore[no-untyped-call]  # noqa: SLF001
            one.samples = [sample for sample in one.samples if not math.isnan(sample.value)]
            if one.samples:
                yield one


def _mode(metric: Any) -> str:
    """Return how a gauge is merged; empty for another metric."""
    return getattr(metric, "_multiprocess_mode", "")


def _begun(directory: Path) -> list[str]:
    """Return the files that have values; a process that starts creates an empty file first."""
    found = []
    for path in directory.glob("*.db"):
        try:
            if path.stat().st_size:
                found.append(str(path))
        except FileNotFoundError:
            continue
    return found
