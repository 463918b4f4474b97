"""The brake on dead-lettering: when so much would be dead-lettered that the events are hardly to blame."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from math import inf
from typing import Final, NamedTuple

from schemas.pipeline.breaker import BreakerCause, BreakerLimits
from schemas.pipeline.outcome import UNCONFIRMED_SITE, Failure, Outcomes
from schemas.pipeline.record import TopicPartition
from schemas.pipeline.sender import Sender
from streams.rules.breaker_errors import top_errors
from streams.rules.breaker_votes import Sites, nearly_all, of_others, worst_of

_WARY_SHARE: Final = 50
"""Who has braked is wary: so many times fewer events are enough to brake again, but not fewer than these."""
_WARY_EVENTS: Final = 5
_TOLD_SITES: Final = 5
_TODAY_SECONDS: Final = 86_400.0


class _Counts(NamedTuple):
    """Decided events by site: those that become a row, and the failures of visitors apart from those of others."""

    good: Counter[int]
    bad: Counter[int]
    visitors: Counter[int]

    def voting(self, *, quiet: bool) -> Sites:
        """The failures that count: those of visitors only while nothing passes."""
        return self.bad + self.visitors if quiet else self.bad


class _Streak(NamedTuple):
    """Dead letters in a row on one partition, and when (in seconds) the first of those was judged that count."""

    counts: _Counts
    since: float

    def followed_by(self, counts: _Counts, now: float) -> "_Streak":
        before = self.counts
        both = _Counts(Counter(), before.bad + counts.bad, before.visitors + counts.visitors)
        return _Streak(both, self.since if before.bad else now)

    def voting(self) -> int:
        return self.counts.bad.total()


class _Run(NamedTuple):
    """The streak before and after the partition's last batch, so that a batch judged again takes its own place."""

    prev: int
    next: int
    before: _Streak
    after: _Streak


class _Window:
    """Sums of the last `seconds`, each batch under a key of its own."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.sums = _empty()
        self._entries: OrderedDict[object, tuple[float, _Counts]] = OrderedDict()

    def add(self, key: object, at: float, counts: _Counts) -> None:
        """Counts a batch, in the place of what the same key stood for; forgets what is too old."""
        while self._entries and next(iter(self._entries.values()))[0] <= at - self.seconds:
            self._subtract(self._entries.popitem(last=False)[1][1])
        if key in self._entries:
            self._subtract(self._entries.pop(key)[1])
        self._entries[key] = (at, counts)
        _add(self.sums, counts)

    def _subtract(self, counts: _Counts) -> None:
        for total, part in zip(self.sums, counts, strict=True):
            for site, count in part.items():
                total[site] -= count
                if not total[site]:
                    del total[site]


class ProbeSample:
    """What a probe has judged so far, over all the partitions that it looked at."""

    def __init__(self) -> None:
        self.counts = _empty()


class BreakerJudge:
    """Weighs the outcomes of all batches of one process before any of their dead letters is published.

    Only decided events count: those that would become a row and those that would be dead-lettered; duplicates and
    retries say nothing. Neither one site nor one organisation, by however many sites, nor what is nobody's can engage the
    brake while others do well, or where others did well today: `owner_of` says whose a site is. `now` is in seconds and
    only grows.
    What first attempts come to is compared with first attempts, what retries come to with everything.

    Anybody can send what fails as a visitor, and nobody can keep others' events from passing. So visitors' failures
    count only while nothing passes: no event of any sender for half of the window, or none yet in this process. That
    outlives `clear`, else what is held of visitors' failures would engage the brake again at once.
    """

    def __init__(
        self, limits: BreakerLimits, now: Callable[[], float], owner_of: Callable[[int], Hashable] = lambda site: site
    ) -> None:
        self._limits = limits
        self._now = now
        self._owner_of = owner_of
        # Grows with the registry only: no event becomes a row whose site the registry does not know.
        self._passed: dict[int, float] = {}
        self._committed_at: float | None = None
        self._wary = False
        self._probed = -inf, Counter[int]()
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

    def weigh(self, outcomes: Sequence[Outcomes]) -> BreakerCause | None:
        """Counts these outcomes, the same batch once however often it comes; the cause if the brake must go on.

        The cause tells the errors of these outcomes, which are then held.
        """
        now = self._now()
        failing = []
        for one in outcomes:
            dead = one.dead_letters()
            counts = self._add(one, dead, now)
            streak = self._follow(one, dead, counts, now) if _first_attempts(one) else None
            if dead:
                failing.append((next((failure for failure in dead if not _is_visitors(failure)), dead[0]), streak))
        quiet = not any(one.candidates for one in outcomes) and self._is_quiet(now)
        for failure, streak in failing:
            cause = self._by_share(failure, quiet) or self._by_run(failure, streak, quiet)
            if cause is not None:
                held = top_errors(one for each in outcomes for one in each.dead_letters())
                return cause._replace(details={**cause.details, "errors": held})
        if sum(map(_total, (self._all.sums.good, self._all.sums.bad))) >= self._limits.min_events:
            self._wary = False
        return None

    def committed(self, outcomes: Iterable[Outcomes]) -> None:
        """Notes that these outcomes were committed: what passed is proof that events can pass."""
        if any(one.candidates for one in outcomes):
            self._committed_at = self._now()

    def _is_quiet(self, now: float) -> bool:
        return self._committed_at is None or now - self._committed_at >= self._limits.window_seconds / 2

    def _needed(self, events: int) -> int:
        """How many events are ground enough now, where so many are by the settings."""
        return min(events, max(_WARY_EVENTS, events // _WARY_SHARE)) if self._wary else events

    def passes(self, sample: ProbeSample, outcomes: Sequence[Outcomes]) -> bool:
        """Adds events that were judged again to the sample; whether all of it is no reason to keep the brake on."""
        now = self._now()
        for one in outcomes:
            good = _good_sites(one)
            self._passed.update(dict.fromkeys(good, now))
            _add(sample.counts, self._count(one.dead_letters(), good))
        self.committed(outcomes)
        good = sample.counts.good
        bad = sample.counts.voting(quiet=not good)
        passed = not nearly_all(good, bad, 1, self._limits.ratio_pct, self._owner_of)
        if passed:
            self._probed = now, good.copy()
        return passed

    def is_enough(self, sample: ProbeSample) -> bool:
        """Whether more events would hardly change what the sample says.

        Those of one organisation alone never are enough, as others' may lie behind them; nor are visitors' failures.
        """
        by_owner: Counter[Hashable] = Counter()
        for counts in (sample.counts.good, sample.counts.bad):
            for site, count in counts.items():
                by_owner[self._owner_of(site)] += count
        most = self._limits.min_events // 2
        return sum(min(count, most) for count in by_owner.values()) >= self._limits.min_events

    def _count(self, dead: Iterable[Failure], good: Counter[int] | None = None) -> _Counts:
        counts = _Counts(Counter() if good is None else good, Counter(), Counter())
        for failure in dead:
            (counts.visitors if _is_visitors(failure) else counts.bad)[self._site_of(failure)] += 1
        return counts

    def _add(self, one: Outcomes, dead: Sequence[Failure], now: float) -> _Counts:
        good = _good_sites(one)
        for site in good:
            self._passed[site] = now
        counts = self._count(dead, good)
        # What came from the ledger stands at no offset of its own.
        key = object() if one.batch.from_ledger else (one.batch.source, one.batch.prev)
        self._all.add(key, now, counts)
        if _first_attempts(one):
            self._first.add(key, now, counts)
        return counts

    def _by_share(self, failure: Failure, quiet: bool) -> BreakerCause | None:
        window = self._first if failure.attempt == 1 else self._all
        sums = window.sums
        good, bad = sums.good, sums.voting(quiet=quiet)
        at, probed = self._probed
        if self._now() - at < window.seconds:
            # What fails at the heads is read again before what passed behind them.
            good = good + probed
        if self._is_one_of_many(bad):
            return None
        needed = self._needed(self._limits.min_events)
        if not nearly_all(good, bad, needed, self._limits.ratio_pct, self._owner_of):
            return None
        total = _total(bad) + _total(good)
        return _cause(
            f"{_total(bad)} of {total} events decided within {window.seconds:g} s would be dead-lettered",
            bad,
            _total(sums.visitors) if quiet else 0,
            failure,
        )

    def _by_run(self, failure: Failure, streak: _Streak | None, quiet: bool) -> BreakerCause | None:
        if (
            streak is None
            or self._is_one_of_many(streak.counts.voting(quiet=quiet))
            or not self._too_long(streak, quiet)
        ):
            return None
        place = f"{failure.record.topic}-{failure.record.partition}"
        sites, visitors = streak.counts.voting(quiet=quiet), _total(streak.counts.visitors) if quiet else 0
        return _cause(f"{_total(sites)} events in a row on {place} would be dead-lettered", sites, visitors, failure)

    def _is_one_of_many(self, bad: Sites) -> bool:
        """Whether all failures are one organisation's or nobody's, and another's events passed today: silence is no vote.

        What made these pass reads what is nobody's too: a release that reads nothing begins in a process that saw none pass.
        """
        owners = {self._owner_of(site) for site in bad.keys() - {UNCONFIRMED_SITE}}
        if len(owners) > 1:
            return False
        since = self._now() - _TODAY_SECONDS
        return any(at > since and self._owner_of(site) not in owners for site, at in self._passed.items())

    def _site_of(self, failure: Failure) -> int:
        """Whose trouble it is: a site of the registry, or one that is known to do well elsewhere; else nobody's."""
        known = failure.window_site_id or failure.site_id
        return known if known and (known == failure.window_site_id or known in self._passed) else UNCONFIRMED_SITE

    def _follow(self, one: Outcomes, dead: Sequence[Failure], counts: _Counts, now: float) -> _Streak:
        """Carries the partition's streak on through the batch; returns the longest that the batch had a part in."""
        batch = one.batch
        known = self._runs.get(batch.source)
        before = _Streak(_empty(), now)
        if known is not None and batch.prev == known.next:
            before = known.after
        elif known is not None and batch.prev == known.prev:
            before = known.before
        if not counts.good:
            after = longest = before.followed_by(counts, now)
        elif _total(before.counts.bad) + len(dead) < self._needed(self._limits.run_length):
            last_good = one.candidates[-1].record.offset
            trailing = [failure for failure in dead if failure.record.offset > last_good]
            after = longest = _Streak(self._count(trailing), now)
        else:
            after, longest = self._walk(one, dead, before, now)
        self._runs[batch.source] = _Run(batch.prev, batch.next, before, after)
        return longest

    def _walk(self, one: Outcomes, dead: Sequence[Failure], before: _Streak, now: float) -> tuple[_Streak, _Streak]:
        """The last and the longest streak of a batch that has good events among its dead letters."""
        failures = {failure.record.offset: failure for failure in dead}
        last = longest = before
        following: list[Failure] = []
        for offset in sorted([*failures, *(candidate.record.offset for candidate in one.candidates)]):
            if offset in failures:
                following.append(failures[offset])
                continue
            longest = max(longest, last.followed_by(self._count(following), now), key=_Streak.voting)
            last, following = _Streak(_empty(), now), []
        last = last.followed_by(self._count(following), now)
        return last, max(longest, last, key=_Streak.voting)

    def _too_long(self, streak: _Streak, quiet: bool) -> bool:
        """Of one site's dead letters only with nobody else about; else half of the length must be others', of whom most fail.

        Whose events passed meanwhile, or a moment ago, fails here by what it sends: a sender chooses the partition.
        """
        length, bad = self._needed(self._limits.run_length), streak.counts.voting(quiet=quiet)
        if _total(bad) < length:
            return False
        recently = self._now() - self._limits.window_seconds / 2
        about = {site for site, at in self._passed.items() if at >= streak.since or at > recently}
        worst = worst_of(bad, about)
        if not about - {worst}:
            # One that does well elsewhere is not outvoted by what is nobody's.
            return worst not in about or 2 * (_total(bad) - bad.get(UNCONFIRMED_SITE, 0)) >= length
        passing = {
            self._owner_of(site)
            for site, at in self._passed.items()
            if site != worst and (at > streak.since or at > recently)
        }
        failing = {self._owner_of(site) for site in bad.keys() - {worst, UNCONFIRMED_SITE}} - passing
        return 2 * of_others(bad, worst) >= length and len(failing) > len(passing)


def _good_sites(one: Outcomes) -> Counter[int]:
    return Counter([candidate.event.site_id for candidate in one.candidates])


def _is_visitors(failure: Failure) -> bool:
    return failure.sender is Sender.VISITOR


def _empty() -> _Counts:
    return _Counts(Counter(), Counter(), Counter())


def _add(sums: _Counts, counts: _Counts) -> None:
    for total, part in zip(sums, counts, strict=True):
        total.update(part)


def _total(sites: Sites) -> int:
    return sum(sites.values())


def _first_attempts(one: Outcomes) -> bool:
    """Whether a batch is one of first attempts; on the retry topics nearly everything may fail for good reasons."""
    if one.candidates:
        return one.candidates[0].event.attempt == 1
    return not one.failures or one.failures[0].attempt == 1


def _cause(reason: str, sites: Sites, visitors: int, failure: Failure) -> BreakerCause:
    details = {
        "topic": failure.record.topic,
        "partition": failure.record.partition,
        "offset": failure.record.offset,
        "error_class": failure.error_class.value,
        "error": failure.error[:300],
        "sites": {str(site): count for site, count in Counter(sites).most_common(_TOLD_SITES)},
        "sites_total": len(sites),
        "failures_total": _total(sites),
        "failures_of_visitors": visitors,
    }
    return BreakerCause(reason, details)
