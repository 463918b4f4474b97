"""The counts of the circuit breaker: events that pass or fail by site, of the batches of a window of time."""

from collections import Counter, OrderedDict
from typing import NamedTuple


class Counts(NamedTuple):
    """Counts of events by site: those that became a row, the failures of visitors, and the failures of other senders.

    Visitors are anonymous senders, such as browsers.
    """

    good: Counter[int]
    bad: Counter[int]
    visitors: Counter[int]

    def voting(self, *, quiet: bool) -> Counter[int]:
        """Return the failures that count for tripping the breaker.

        Failures of visitors (anonymous senders) count only if `quiet` is True, that is, if no event of any sender
        passes.
        """
        return self.bad + self.visitors if quiet else self.bad


class Window:
    """The counts of all batches that were processed within the last `seconds`, with one entry for each batch."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.sums = no_counts()
        self._entries: OrderedDict[object, tuple[float, Counts]] = OrderedDict()

    def add(self, key: object, at: float, counts: Counts) -> None:
        """Add a batch's counts, which replace those of the same batch, and remove entries that are too old."""
        while self._entries and next(iter(self._entries.values()))[0] <= at - self.seconds:
            self._subtract(self._entries.popitem(last=False)[1][1])
        if key in self._entries:
            self._subtract(self._entries.pop(key)[1])
        self._entries[key] = (at, counts)
        add(self.sums, counts)

    def _subtract(self, counts: Counts) -> None:
        for total, part in zip(self.sums, counts, strict=True):
            for site, count in part.items():
                total[site] -= count
                if not total[site]:
                    del total[site]


def no_counts() -> Counts:
    """Return counts of no events, to which others are added; also the sample of a probe that has read nothing yet.

    A probe finds out whether events pass again while the breaker is open: workers process some records without
    dead-lettering. The sample has all partitions that were read so far.
    """
    return Counts(Counter(), Counter(), Counter())


def add(sums: Counts, counts: Counts) -> None:
    """Add `counts` to `sums`, in place."""
    for total, part in zip(sums, counts, strict=True):
        total.update(part)
