"""What the client library lacks: labels of a bounded number, a histogram that takes batches, and the network."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

MOST_NAMED: Final = 100
"""So many sites have series of their own, and so many scripts; the others share one."""
OTHERS: Final = "other"
UNKNOWN: Final = "unknown"
"""What is not registered."""


class FirstComers:
    """Labels whose number is bounded: those that come first have their own, all others share `other`."""

    def __init__(self, most: int = MOST_NAMED) -> None:
        self._most = most
        self._own: dict[object, str] = {}

    def label(self, name: object) -> str:
        """What the series of this one is called."""
        label = self._own.get(name)
        if label is None:
            if len(self._own) >= self._most:
                return OTHERS
            label = self._own[name] = str(name)
        return label


class BatchHistogram(Collector):
    """A histogram that takes a batch at once: thousands of single observations would cost as much as judging them.

    `buckets` are upper bounds in seconds, ascending, without infinity.
    """

    def __init__(self, name: str, documentation: str, buckets: Sequence[float], registry: CollectorRegistry) -> None:
        self.name, self.documentation = name, documentation
        self._buckets = buckets
        self._within = [0] * len(buckets)
        self._count, self._sum = 0, 0.0
        registry.register(self)

    def observe_ages(self, times_ms: Sequence[int], now_ms: int) -> None:
        """Counts how long ago each of these times was; one of a clock that is ahead counts as now."""
        ordered = sorted(times_ms)
        count = len(ordered)
        for index, bound in enumerate(self._buckets):
            self._within[index] += count - bisect_left(ordered, now_ms - bound * 1000)
        self._count += count
        self._sum += max(0, count * now_ms - sum(ordered)) / 1000

    def collect(self) -> Iterable[Metric]:
        found = [(str(float(bound)), float(count)) for bound, count in zip(self._buckets, self._within, strict=True)]
        yield HistogramMetricFamily(
            self.name, self.documentation, buckets=[*found, ("+Inf", float(self._count))], sum_value=self._sum
        )


class NetworkCollector(Collector):
    """What came in and went out over the network, as the Go client of Prometheus tells it: of a container, all its processes."""

    def __init__(self, registry: CollectorRegistry | None = None, place: Path = Path("/proc/self/net/netstat")) -> None:
        self._place = place
        if registry is not None:
            registry.register(self)

    def collect(self) -> Iterable[Metric]:
        if not self._place.exists():
            # Only Linux tells it so.
            return
        names, values = (line.split() for line in self._place.read_text().splitlines() if line.startswith("IpExt:"))
        found = dict(zip(names, values, strict=True))
        for name, octets in (("receive", "InOctets"), ("transmit", "OutOctets")):
            metric, told = f"process_network_{name}_bytes", f"Number of bytes the network could {name}."
            yield CounterMetricFamily(metric, told, float(found[octets]))
