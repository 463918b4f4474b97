"""Extensions of the metrics client: labels of a bounded number, a histogram for batches, and network counters."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from prometheus_client import CollectorRegistry, values
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

MOST_NAMED: Final = 100
"""The most sites, and the most scripts, that have series of their own. All others share one series."""
OTHERS: Final = "other"
UNKNOWN: Final = "unknown"
"""The label for scripts that are not registered."""


class FirstComers:
    """A bounded set of label values: the first names get series of their own, all later names share `other`."""

    def __init__(self, most: int = MOST_NAMED) -> None:
        self._most = most
        self._own: dict[object, str] = {}

    def label(self, name: object) -> str:
        """Return the label of this name's series."""
        label = self._own.get(name)
        if label is None:
            if len(self._own) >= self._most:
                return OTHERS
            label = self._own[name] = str(name)
        return label


class BatchHistogram(Collector):
    """A histogram that observes the values of a whole batch in one call.

    One call for each of a batch's events would take as long as processing the batch. `buckets` are upper bounds in
    seconds, ascending, without infinity.
    """

    def __init__(self, name: str, documentation: str, buckets: Sequence[float], registry: CollectorRegistry) -> None:
        self.name, self.documentation = name, documentation
        self._buckets = buckets
        # Values of the client library, which processes may share. A value has the observations of one bucket only.
        self._counts = [self._value("_bucket", ("le",), (str(float(bound)),)) for bound in (*buckets, float("inf"))]
        self._sum = self._value("_sum", (), ())
        registry.register(self)

    def _value(self, suffix: str, names: Sequence[str], labels: Sequence[str]) -> Any:
        return values.ValueClass("histogram", self.name, self.name + suffix, names, labels, self.documentation)

    def observe_ages(self, times_ms: Sequence[int], now_ms: int) -> None:
        """Observe the time that has passed since each of `times_ms`, up to `now_ms`; at least 0.

        All times are in milliseconds since the epoch.
        """
        ordered = sorted(times_ms)
        count, before = len(ordered), 0
        for value, bound in zip(self._counts, self._buckets, strict=False):
            within = count - bisect_left(ordered, now_ms - bound * 1000)
            if within != before:
                value.inc(within - before)
                before = within
        self._counts[-1].inc(count - before)
        self._sum.inc(max(0, count * now_ms - sum(ordered)) / 1000)

    def collect(self) -> Iterable[Metric]:
        bounds = [*(str(float(bound)) for bound in self._buckets), "+Inf"]
        found = list(zip(bounds, accumulate(float(one.get()) for one in self._counts), strict=True))
        yield HistogramMetricFamily(self.name, self.documentation, buckets=found, sum_value=self._sum.get())


class NetworkCollector(Collector):
    """Bytes received and sent over the network, in metrics with the names of Prometheus' Go client.

    In a container, the bytes of all its processes are counted.
    """

    def __init__(self, place: Path = Path("/proc/self/net/netstat")) -> None:
        self._place = place

    def collect(self) -> Iterable[Metric]:
        if not self._place.exists():
            # Only Linux has the file.
            return
        names, values = (line.split() for line in self._place.read_text().splitlines() if line.startswith("IpExt:"))
        found = dict(zip(names, values, strict=True))
        for name, octets in (("receive", "InOctets"), ("transmit", "OutOctets")):
            metric, text = f"process_network_{name}_bytes", f"Number of bytes the network could {name}."
            yield CounterMetricFamily(metric, text, float(found[octets]))
