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
_TOLD_SITES: Final = 5


class BrakeLimits(NamedTuple):
    """`ratio_pct` of `min_events` or more within `window_seconds`, or `run_length` in a row on one partition."""

    ratio_pct: Decimal
    min_events: int
    run_length: int
    window_seconds: float


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


class BrakeJudge:
    """Weighs the outcomes of all batches of one process before any of their dead letters is published.

    Only decided events count: those that would become a row and those that would be dead-lettered; duplicates and
    retries say nothing. No site alone can engage the brake while others do well. `now` is in seconds and only grows.
    """

    def __init__(self, limits: BrakeLimits, now: Callable[[], float]) -> None:
        self._limits = limits
        self._now = now
        # Grows with the registry only: no event becomes a row whose site the registry does not know.
        self._passed: dict[int, float] = {}
        self.clear()

    def clear(self) -> None:
        """Begins anew, as after a brake that was let go."""
        self._entries: OrderedDict[object, _Entry] = OrderedDict()
        self._good: Counter[int] = Counter()
        self._bad: Counter[int] = Counter()
        self._runs: dict[TopicPartition, _Run] = {}

    def weigh(self, outcomes: Sequence[Outcomes]) -> BrakeCause | None:
        """Counts these outcomes, the same batch once however often it comes; the cause if the brake must go on."""
        now = self._now()
        self._forget(now)
        streaks = []
        failing = None
        for one in outcomes:
            dead = one.dead_letters()
            good, bad = self._add(one, dead, now)
            streak = self._follow(one, dead, good, bad, now)
            if dead:
                failing = failing or dead[0]
                streaks.append((streak, dead[-1]))
        if failing is None:
            return None
        if nearly_all(self._good, self._bad, self._limits.min_events, self._limits.ratio_pct):
            return self._cause(
                f"{self._bad.total()} of {self._good.total() + self._bad.total()} events decided within "
                f"{self._limits.window_seconds:g} s would be dead-lettered",
                self._bad,
                failing,
            )
        for streak, last in streaks:
            if self._too_long(streak):
                place = f"{last.record.topic}-{last.record.partition}"
                length = sum(streak.sites.values())
                return self._cause(f"{length} events in a row on {place} would be dead-lettered", streak.sites, last)
        return None

    def passes(self, outcomes: Sequence[Outcomes]) -> bool:
        """Whether these few events, judged again, are no reason to keep the brake on."""
        good = sum((self._good_sites(one) for one in outcomes), Counter[int]())
        bad = Counter(self._site_of(failure) for one in outcomes for failure in one.dead_letters())
        return not nearly_all(good, bad, 1, self._limits.ratio_pct)

    @staticmethod
    def _good_sites(one: Outcomes) -> Counter[int]:
        return Counter([candidate.event.site_id for candidate in one.candidates])

    def _add(self, one: Outcomes, dead: Sequence[Failure], now: float) -> tuple[Sites, Sites]:
        good = self._good_sites(one)
        for site in good:
            self._passed[site] = now
        bad = Counter(map(self._site_of, dead)) if dead else Counter[int]()
        # What came from the ledger stands at no offset of its own.
        key = object() if one.batch.from_ledger else (one.batch.source, one.batch.prev)
        self._subtract(self._entries.pop(key, None))
        self._entries[key] = _Entry(now, good, bad)
        self._good.update(good)
        self._bad.update(bad)
        return good, bad

    def _subtract(self, entry: _Entry | None) -> None:
        if entry is None:
            return
        for total, part in ((self._good, entry.good), (self._bad, entry.bad)):
            for site, count in part.items():
                total[site] -= count
                if not total[site]:
                    del total[site]

    def _forget(self, now: float) -> None:
        oldest = now - self._limits.window_seconds
        while self._entries and next(iter(self._entries.values())).at <= oldest:
            self._subtract(self._entries.popitem(last=False)[1])

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

    def _follow(self, one: Outcomes, dead: Sequence[Failure], good: Sites, bad: Sites, now: float) -> _Streak:
        """Carries the partition's streak on through the batch; returns the longest that the batch had a part in."""
        batch = one.batch
        known = self._runs.get(batch.source)
        before = _Streak({}, now)
        if known is not None and batch.prev == known.next:
            before = known.after
        elif known is not None and batch.prev == known.prev:
            before = known.before
        if not good:
            after = longest = before.followed_by(bad, now)
        elif sum(before.sites.values()) + len(dead) < self._limits.run_length:
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
        length = self._limits.run_length
        if _length(streak) < length:
            return False
        about = {site for site, at in self._passed.items() if at >= streak.since}
        worst = _worst(streak.sites, about)
        return not about - {worst} or 2 * _of_others(streak.sites, worst) >= length

    def _cause(self, reason: str, sites: Sites, failure: Failure) -> BrakeCause:
        most = Counter(sites).most_common(_TOLD_SITES)
        details = {
            "topic": failure.record.topic,
            "partition": failure.record.partition,
            "offset": failure.record.offset,
            "error_class": failure.error_class.value,
            "error": failure.error[:300],
            "sites": {str(site): count for site, count in most},
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
