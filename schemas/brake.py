"""The brake on dead-lettering: when so much would be dead-lettered that the events are hardly to blame."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from schemas.headers import SITE_ID, last_int
from schemas.outcome import UNCONFIRMED_SITE, Failure, Outcomes
from schemas.record import TopicPartition

Sites = Mapping[int, int]
"""Events by site; UNCONFIRMED_SITE holds those that can't be laid to anybody's door."""

_KEY_DIGITS: Final = 18
_WARY_SHARE: Final = 50
"""Who has braked is wary: so many times fewer events are enough to brake again, but not fewer than these."""
_WARY_EVENTS: Final = 5
_TOLD_SITES: Final = 5


class BrakeLimits(NamedTuple):
    """`ratio_pct` of `min_events` or more within `window_seconds`, or `run_length` in a row on one raw partition.

    `retry_seconds` is how long an event may have been on the retry topics: those that are given up are compared with
    what came in when they did.
    """

    ratio_pct: Decimal
    min_events: int
    run_length: int
    window_seconds: float
    retry_seconds: float = 0.0


class BrakeCause(NamedTuple):
    """Why the brake goes on: in words, and in figures for those who look into it."""

    reason: str
    details: Mapping[str, Any]


class BrakeState(NamedTuple):
    """The brake as all workers see it. `released` says that an operator lets dead letters pass at this moment."""

    engaged: bool = False
    released: bool = False
    by_hand: bool = False
    changed_at: datetime | None = None
    changed_by: str = ""
    reason: str = ""
    details: Mapping[str, Any] = {}
    probed_at: datetime | None = None
    released_until: datetime | None = None


class _Streak(NamedTuple):
    """Dead letters in a row on one partition, by site, and when (in seconds) the first of them was judged."""

    sites: Sites
    since: float

    def followed_by(self, sites: Sites, now: float) -> "_Streak":
        return _Streak(Counter(self.sites) + Counter(sites), self.since if self.sites else now)


class _Run(NamedTuple):
    """The streak before and after the partition's last batch, so that a batch judged again takes its own place."""

    prev: int
    next: int
    before: _Streak
    after: _Streak


class _Entry(NamedTuple):
    at: float
    good: Sites
    bad: Sites


class _Window:
    """Sums of the last `seconds`, each batch under a key of its own."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.good: Counter[int] = Counter()
        self.bad: Counter[int] = Counter()
        self._entries: OrderedDict[object, _Entry] = OrderedDict()

    def add(self, key: object, entry: _Entry) -> None:
        """Counts a batch, in the place of what the same key stood for; forgets what is too old."""
        while self._entries and next(iter(self._entries.values())).at <= entry.at - self.seconds:
            self._subtract(self._entries.popitem(last=False)[1])
        if key in self._entries:
            self._subtract(self._entries.pop(key))
        self._entries[key] = entry
        self.good.update(entry.good)
        self.bad.update(entry.bad)

    def _subtract(self, entry: _Entry) -> None:
        for total, part in ((self.good, entry.good), (self.bad, entry.bad)):
            for site, count in part.items():
                total[site] -= count
                if not total[site]:
                    del total[site]


class BrakeJudge:
    """Weighs the outcomes of all batches of one process before any of their dead letters is published.

    Only decided events count: those that would become a row and those that would be dead-lettered; duplicates and
    retries say nothing. No site alone can engage the brake while others do well. `now` is in seconds and only grows.
    What first attempts come to is compared with first attempts, what retries come to with everything.
    """

    def __init__(self, limits: BrakeLimits, now: Callable[[], float]) -> None:
        self._limits = limits
        self._now = now
        # Grows with the registry only: no event becomes a row whose site the registry does not know.
        self._passed: dict[int, float] = {}
        self._wary = False
        self._begin()

    def clear(self) -> None:
        """Begins anew, warily, as after a brake that was let go: perhaps by another worker, which finds nothing wrong.

        Else each of its probes would cost as many dead letters as the brake allows. The wariness is over when so much
        has been decided as the brake needs, and was no cause.
        """
        self._wary = True
        self._begin()

    def _begin(self) -> None:
        self._first = _Window(self._limits.window_seconds)
        self._all = _Window(self._limits.window_seconds + self._limits.retry_seconds)
        self._runs: dict[TopicPartition, _Run] = {}

    def weigh(self, outcomes: Sequence[Outcomes]) -> BrakeCause | None:
        """Counts these outcomes, the same batch once however often it comes; the cause if the brake must go on."""
        now = self._now()
        failing = []
        for one in outcomes:
            dead = one.dead_letters()
            entry = self._add(one, dead, now)
            streak = self._follow(one, dead, entry) if _first_attempts(one) else None
            if dead:
                failing.append((dead[0], streak))
        for failure, streak in failing:
            cause = self._by_share(failure) or self._by_run(failure, streak)
            if cause is not None:
                return cause
        if self._all.good.total() + self._all.bad.total() >= self._limits.min_events:
            self._wary = False
        return None

    def _needed(self, events: int) -> int:
        """How many events are ground enough now, where so many are by the settings."""
        return min(events, max(_WARY_EVENTS, events // _WARY_SHARE)) if self._wary else events

    def passes(self, outcomes: Sequence[Outcomes]) -> bool:
        """Whether these few events, judged again, are no reason to keep the brake on."""
        good = sum((self._good_sites(one) for one in outcomes), Counter[int]())
        bad = Counter(self._site_of(failure) for one in outcomes for failure in one.dead_letters())
        return not nearly_all(good, bad, 1, self._limits.ratio_pct)

    @staticmethod
    def _good_sites(one: Outcomes) -> Counter[int]:
        return Counter([candidate.event.site_id for candidate in one.candidates])

    def _add(self, one: Outcomes, dead: Sequence[Failure], now: float) -> _Entry:
        good = self._good_sites(one)
        for site in good:
            self._passed[site] = now
        entry = _Entry(now, good, Counter(map(self._site_of, dead)))
        # What came from the ledger stands at no offset of its own.
        key = object() if one.batch.from_ledger else (one.batch.source, one.batch.prev)
        self._all.add(key, entry)
        if _first_attempts(one):
            self._first.add(key, entry)
        return entry

    def _by_share(self, failure: Failure) -> BrakeCause | None:
        window = self._first if failure.attempt == 1 else self._all
        if not nearly_all(window.good, window.bad, self._needed(self._limits.min_events), self._limits.ratio_pct):
            return None
        bad, total = window.bad.total(), window.bad.total() + window.good.total()
        return _cause(
            f"{bad} of {total} events decided within {window.seconds:g} s would be dead-lettered", window.bad, failure
        )

    def _by_run(self, failure: Failure, streak: _Streak | None) -> BrakeCause | None:
        if streak is None or not self._too_long(streak):
            return None
        place = f"{failure.record.topic}-{failure.record.partition}"
        return _cause(f"{_length(streak)} events in a row on {place} would be dead-lettered", streak.sites, failure)

    def _site_of(self, failure: Failure) -> int:
        """Whose trouble it is: by the gateway's word, else the registry's, the event's, or its key's.

        What a stranger can make up counts only if that site is known to do well elsewhere.
        """
        confirmed = failure.window_site_id
        headers = failure.record.headers
        for claimed in (last_int(headers, SITE_ID) if headers else None, confirmed, failure.site_id):
            if claimed and (claimed == confirmed or claimed in self._passed):
                return claimed
        digits = (failure.record.key or b"").partition(b":")[0]
        site = int(digits) if digits.isdigit() and len(digits) <= _KEY_DIGITS else UNCONFIRMED_SITE
        return site if site in self._passed else UNCONFIRMED_SITE

    def _follow(self, one: Outcomes, dead: Sequence[Failure], entry: _Entry) -> _Streak:
        """Carries the partition's streak on through the batch; returns the longest that the batch had a part in."""
        batch, now = one.batch, entry.at
        known = self._runs.get(batch.source)
        before = _Streak({}, now)
        if known is not None and batch.prev == known.next:
            before = known.after
        elif known is not None and batch.prev == known.prev:
            before = known.before
        if not entry.good:
            after = longest = before.followed_by(entry.bad, now)
        elif _length(before) + len(dead) < self._needed(self._limits.run_length):
            last_good = one.candidates[-1].record.offset
            trailing = [failure for failure in dead if failure.record.offset > last_good]
            after = longest = _Streak(Counter(map(self._site_of, trailing)), now)
        else:
            after, longest = self._walk(one, dead, before, now)
        self._runs[batch.source] = _Run(batch.prev, batch.next, before, after)
        return longest

    def _walk(self, one: Outcomes, dead: Sequence[Failure], before: _Streak, now: float) -> tuple[_Streak, _Streak]:
        """The last and the longest streak of a batch that has good events among its dead letters."""
        decided = [(candidate.record.offset, -1) for candidate in one.candidates]
        decided += [(failure.record.offset, self._site_of(failure)) for failure in dead]
        longest = before
        sites, since = Counter(before.sites), before.since
        for _, site in sorted(decided):
            if site >= 0:
                sites[site] += 1
                continue
            longest = max(longest, _Streak(sites, since), key=_length)
            sites, since = Counter(), now
        last = _Streak(sites, since)
        return last, max(longest, last, key=_length)

    def _too_long(self, streak: _Streak) -> bool:
        """Of one site's dead letters only with nobody else about; else half of the length must be others'."""
        length = self._needed(self._limits.run_length)
        if _length(streak) < length:
            return False
        about = {site for site, at in self._passed.items() if at >= streak.since}
        worst = _worst(streak.sites, about)
        return not about - {worst} or 2 * _of_others(streak.sites, worst) >= length


def _first_attempts(one: Outcomes) -> bool:
    """Whether a batch is one of first attempts; on the retry topics nearly everything may fail for good reasons."""
    if one.candidates:
        return one.candidates[0].event.attempt == 1
    return not one.failures or one.failures[0].attempt == 1


def _cause(reason: str, sites: Sites, failure: Failure) -> BrakeCause:
    details = {
        "topic": failure.record.topic,
        "partition": failure.record.partition,
        "offset": failure.record.offset,
        "error_class": failure.error_class.value,
        "error": failure.error[:300],
        "sites": {str(site): count for site, count in Counter(sites).most_common(_TOLD_SITES)},
        "sites_total": len(sites),
    }
    return BrakeCause(reason, details)


def _length(streak: _Streak) -> int:
    return sum(streak.sites.values())


def _worst(bad: Sites, others: set[int]) -> int | None:
    """The known site with the most dead letters; one of the others if none has any."""
    return max((bad.keys() | others) - {UNCONFIRMED_SITE}, key=lambda site: bad.get(site, 0), default=None)


def _of_others(counts: Sites, worst: int | None) -> int:
    return sum(count for site, count in counts.items() if site not in (worst, UNCONFIRMED_SITE))


def nearly_all(good: Sites, bad: Sites, min_events: int, ratio_pct: Decimal) -> bool:
    """Whether that share is reached by all together, and also by the others without the site that fails most.

    A site that is alone has no others to ask. What is nobody's counts in the whole, and is nobody's vote.
    """
    bad_total = sum(bad.values())
    total = bad_total + sum(good.values())
    if not bad_total or total < min_events or bad_total * 100 < ratio_pct * total:
        return False
    worst = _worst(bad, set(good))
    bad_others = _of_others(bad, worst)
    others = bad_others + _of_others(good, worst)
    return not others or bad_others * 100 >= ratio_pct * others
