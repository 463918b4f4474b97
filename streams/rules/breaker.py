"""The circuit breaker for dead letters.

It trips when so many events fail that the events themselves are unlikely to be the cause. While it is open, workers
dead-letter nothing.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import chain
from math import inf
from typing import Final, NamedTuple

from schemas.pipeline.breaker import NOBODY, BreakerCause, BreakerLimits, BreakerState, Passing
from schemas.pipeline.outcome import UNCONFIRMED_SITE, Failure, Outcomes
from schemas.pipeline.record import TopicPartition
from schemas.pipeline.sender import Sender
from streams.rules.breaker_counts import Counts, Window, add, no_counts
from streams.rules.breaker_errors import top_errors
from streams.rules.breaker_votes import nearly_all, of_others, worst_of

_SENSITIVE_SHARE: Final = 50
"""After a trip the breaker is more sensitive: the number of events that trips it is divided by this number.

It is at least _SENSITIVE_EVENTS.
"""
_SENSITIVE_EVENTS: Final = 5
_TOLD_SITES: Final = 5
_TODAY_SECONDS: Final = 86_400.0


class _Streak(NamedTuple):
    """The dead letters in a row at the end of one partition. `since` is when the first was processed, in seconds."""

    counts: Counts
    since: float

    def followed_by(self, counts: Counts, now: float) -> "_Streak":
        before = self.counts
        both = Counts(Counter(), before.bad + counts.bad, before.visitors + counts.visitors)
        return _Streak(both, self.since if before.bad else now)

    def voting(self) -> int:
        return self.counts.bad.total()


class _Run(NamedTuple):
    """A partition's streak (dead letters in a row) before and after its last batch.

    If that batch is processed again, the streak after it is computed again from the streak before it.
    """

    prev: int
    next: int
    before: _Streak
    after: _Streak


class Weighed(NamedTuple):
    """Batches that were counted: their outcomes, and a failure and the streak of each batch with dead letters."""

    outcomes: Sequence[Outcomes]
    failing: Sequence[tuple[Failure, _Streak | None]]


class BreakerJudge:
    """Counts the outcomes of all batches of one process, and decides whether the circuit breaker must trip.

    It decides before a batch's dead letters are published. `owner_of` returns the owner of a site; `now` returns
    monotonic seconds.

    - Only decided events count: those that would become a row, and those that would be dead-lettered. Duplicates and
      retries don't count.
    - First attempts are compared with first attempts, retries with all attempts.
    - Failures of one site, or of the sites of one organisation, don't trip the breaker if events of others pass now, or
      have passed within the last day, in any process. Those of unknown sites don't if any event has passed in this one.
    - A sender chooses the partition of its events, and so the process. An owner whose events pass elsewhere, and do not
      fail here, counts as one whose events pass. The caller asks for these only if the breaker would trip without them.
    - Anyone can send failing events as a visitor, but can't keep the events of others from passing. Failures of
      visitors therefore count only if no event of any sender has passed for half of the window, in any process of the
      consumer group: a sender chooses the partition of its events, and so the process. `clear` keeps the time of the
      last event that passed. Otherwise the visitors' failures that the breaker has held back would trip it again after
      a reset.
    """

    def __init__(
        self, limits: BreakerLimits, now: Callable[[], float], owner_of: Callable[[int], Hashable] = lambda site: site
    ) -> None:
        self._limits = limits
        self._now = now
        self._owner_of = owner_of
        # The size is bounded by the registry, because only events of its sites become rows.
        self._passed: dict[int, float] = {}
        self._committed_at: float | None = None
        self._sensitive = False
        self._probed = -inf, Counter[int]()
        self._begin()

    def clear(self) -> None:
        """Reset the counts and make the breaker trip earlier for a while, after this or another worker has reset it.

        With the usual thresholds, each failed probe would cost as many dead letters as trip the breaker. The lower ones
        apply until the usual number of events has been decided without a trip.
        """
        self._sensitive = True
        self._begin()

    def _begin(self) -> None:
        self._first = Window(self._limits.window_seconds)
        self._all = Window(self._limits.window_seconds + self._limits.retry_seconds)
        self._runs: dict[TopicPartition, _Run] = {}

    def weigh(self, outcomes: Sequence[Outcomes], passing: Passing = NOBODY) -> BreakerCause | None:
        """Count these outcomes, and decide about them."""
        return self.decide(self.count(outcomes), passing)

    def count(self, outcomes: Sequence[Outcomes]) -> Weighed:
        """Count these outcomes of batches, before their dead letters are published.

        A batch that is processed again is counted once.
        """
        now = self._now()
        failing = []
        for one in outcomes:
            dead = one.dead_letters()
            counts = self._add(one, dead, now)
            streak = self._follow(one, dead, counts, now) if _first_attempts(one) else None
            if dead:
                failing.append((next((failure for failure in dead if not _is_visitors(failure)), dead[0]), streak))
        return Weighed(outcomes, failing)

    def decide(self, weighed: Weighed, passing: Passing = NOBODY) -> BreakerCause | None:
        """Return the cause if the breaker must trip, else None. `passing` is what has passed in all processes.

        The cause lists the errors of these outcomes' dead letters, and the caller must not publish these dead letters.
        """
        quiet = self._is_quiet(weighed.outcomes) and not passing.just_now
        for failure, streak in weighed.failing:
            cause = self._by_share(failure, quiet, passing) or self._by_run(failure, streak, quiet, passing)
            if cause is not None:
                held = top_errors(one for each in weighed.outcomes for one in each.dead_letters())
                return cause._replace(details={**cause.details, "errors": held})
        if self._all.sums.good.total() + self._all.sums.bad.total() >= self._limits.min_events:
            self._sensitive = False
        return None

    def committed(self, outcomes: Iterable[Outcomes]) -> None:
        """Record that these outcomes were committed. An event that became a row shows that events can pass."""
        if any(one.candidates for one in outcomes):
            self._committed_at = self._now()

    @property
    def window_seconds(self) -> float:
        """Return for how long an event that passes in another process counts."""
        return self._limits.window_seconds

    @property
    def quiet_seconds(self) -> float:
        """Return for how long no event may pass until failures of visitors count."""
        return self._limits.window_seconds / 2

    def _is_quiet(self, outcomes: Iterable[Outcomes]) -> bool:
        """Return whether no event of these outcomes passes, and none has passed in this process for `quiet_seconds`."""
        if any(one.candidates for one in outcomes):
            return False
        return self._committed_at is None or self._now() - self._committed_at >= self.quiet_seconds

    def _needed(self, events: int) -> int:
        """Return how many events are needed to trip: `events` of the settings, or fewer while the breaker is sensitive.

        The breaker is sensitive for some time after a reset.
        """
        return min(events, max(_SENSITIVE_EVENTS, events // _SENSITIVE_SHARE)) if self._sensitive else events

    def passes(self, sample: Counts, outcomes: Sequence[Outcomes]) -> bool:
        """Add a probe's outcomes to the sample; return whether the sample allows a reset of the breaker."""
        now = self._now()
        for one in outcomes:
            add(sample, self._counted(one, one.dead_letters(), now))
        self.committed(outcomes)
        good = sample.good
        bad = sample.voting(quiet=not good)
        passed = not nearly_all(good, bad, 1, self._limits.ratio_pct, self._owner_of)
        if passed:
            self._probed = now, good.copy()
        return passed

    def is_enough(self, sample: Counts) -> bool:
        """Return whether the probe may end, because more events would hardly change the result of its sample.

        Each organisation's events count for at most half of the needed number, since events of other organisations may
        follow. Failures of visitors (anonymous senders) don't count.
        """
        by_owner: Counter[Hashable] = Counter()
        for site, count in (sample.good + sample.bad).items():
            by_owner[self._owner_of(site)] += count
        most = self._limits.min_events // 2
        return sum(min(count, most) for count in by_owner.values()) >= self._limits.min_events

    def _counted(self, one: Outcomes, dead: Iterable[Failure], now: float) -> Counts:
        """Return the counts of a batch, and remember which sites' events pass."""
        good = Counter([candidate.site_id for candidate in one.candidates])
        self._passed.update(dict.fromkeys(good, now))
        return self._failed(dead)._replace(good=good)

    def _failed(self, dead: Iterable[Failure]) -> Counts:
        counts = no_counts()
        for failure in dead:
            (counts.visitors if _is_visitors(failure) else counts.bad)[self._site_of(failure)] += 1
        return counts

    def _add(self, one: Outcomes, dead: Sequence[Failure], now: float) -> Counts:
        counts = self._counted(one, dead, now)
        # A batch from the ledger has no offset that could be its key.
        key = object() if one.batch.from_ledger else (one.batch.source, one.batch.prev)
        self._all.add(key, now, counts)
        if _first_attempts(one):
            self._first.add(key, now, counts)
        return counts

    def _by_share(self, failure: Failure, quiet: bool, passing: Passing) -> BreakerCause | None:
        window = self._first if failure.attempt.number == 1 else self._all
        sums = window.sums
        good, bad = sums.good, sums.voting(quiet=quiet)
        at, probed = self._probed
        if self._now() - at < window.seconds:
            # After a reset, the failing events at the head of a partition are read before the events that passed in the
            # probe.
            good = good + probed
        # One event each: nobody's failures here are outweighed by its own events that pass elsewhere.
        good = good + Counter(passing.in_window)
        if self._is_one_of_many(bad, passing):
            return None
        needed = self._needed(self._limits.min_events)
        if not nearly_all(good, bad, needed, self._limits.ratio_pct, self._owner_of):
            return None
        total = bad.total() + good.total()
        reason = f"{bad.total()} of {total} events decided within {window.seconds:g} s would be dead-lettered"
        return _cause(reason, sums, failure, quiet=quiet)

    def _by_run(self, failure: Failure, streak: _Streak | None, quiet: bool, passing: Passing) -> BreakerCause | None:
        if streak is None:
            return None
        bad = streak.counts.voting(quiet=quiet)
        if self._is_one_of_many(bad, passing) or not self._too_long(bad, streak.since, passing):
            return None
        place = f"{failure.attempt.record.topic}-{failure.attempt.record.partition}"
        reason = f"{bad.total()} events in a row on {place} would be dead-lettered"
        return _cause(reason, streak.counts, failure, quiet=quiet)

    def _is_one_of_many(self, bad: Counter[int], passing: Passing) -> bool:
        """Return whether only one organisation, or unknown sites, have failures, while events of other owners pass.

        Events of others pass if one has become a row within the last day. For unknown sites, this process must have
        written the row: its code works then, and reads their events in the same way. If a new release can read nothing,
        no event has passed since the process started.
        """
        owners = self._owners(bad.keys() - {UNCONFIRMED_SITE})
        if len(owners) > 1:
            return False
        since = self._now() - _TODAY_SECONDS
        here = (site for site, at in self._passed.items() if at > since)
        passed = chain(here, passing.in_window | passing.in_day if owners else ())
        return any(self._owner_of(site) not in owners for site in passed)

    def _site_of(self, failure: Failure) -> int:
        """Return the site of a failed event if the site is registered or has had a row, else UNCONFIRMED_SITE."""
        known = failure.window_site_id or failure.site_id
        return known if known and (known == failure.window_site_id or known in self._passed) else UNCONFIRMED_SITE

    def _follow(self, one: Outcomes, dead: Sequence[Failure], counts: Counts, now: float) -> _Streak:
        """Extend the partition's streak (dead letters in a row) by a batch.

        Returns the longest streak that contains events of this batch.
        """
        batch = one.batch
        known = self._runs.get(batch.source)
        before = _Streak(no_counts(), now)
        if known is not None and batch.prev == known.next:
            before = known.after
        elif known is not None and batch.prev == known.prev:
            before = known.before
        if not counts.good:
            after = longest = before.followed_by(counts, now)
        elif before.counts.bad.total() + len(dead) < self._needed(self._limits.run_length):
            last_good = one.candidates[-1].offset
            trailing = [failure for failure in dead if failure.attempt.record.offset > last_good]
            after = longest = _Streak(self._failed(trailing), now)
        else:
            after, longest = self._walk(one, dead, before, now)
        self._runs[batch.source] = _Run(batch.prev, batch.next, before, after)
        return longest

    def _walk(self, one: Outcomes, dead: Sequence[Failure], before: _Streak, now: float) -> tuple[_Streak, _Streak]:
        """Return the last and the longest run of dead letters in a batch that has both rows and dead letters."""
        failures = {failure.attempt.record.offset: failure for failure in dead}
        last = longest = before
        following: list[Failure] = []
        for offset in sorted([*failures, *(candidate.offset for candidate in one.candidates)]):
            if offset in failures:
                following.append(failures[offset])
                continue
            longest = max(longest, last.followed_by(self._failed(following), now), key=_Streak.voting)
            last, following = _Streak(no_counts(), now), []
        last = last.followed_by(self._failed(following), now)
        return last, max(longest, last, key=_Streak.voting)

    def _too_long(self, bad: Counter[int], since: float, passing: Passing) -> bool:
        """Return whether a streak (dead letters in a row on one partition) is long enough to trip the breaker.

        `bad` are its dead letters by site, and `since` is when the first of them was processed. If no other site is active, the dead letters of one site suffice. Otherwise at least half of the needed number
        must be of other sites, and most owners of these sites must fail. A sender chooses the partition of its events.
        A site therefore does not count as failing if other events of this site passed during the streak or recently.
        """
        length = self._needed(self._limits.run_length)
        if bad.total() < length:
            return False
        recently = self._now() - self._limits.window_seconds / 2
        here = {site for site, at in self._passed.items() if at >= since or at > recently}
        about = here | passing.in_window
        worst = worst_of(bad, about)
        if not about - {worst}:
            # Failures of unknown sites are not held against a site whose events pass elsewhere.
            return worst not in about or 2 * (bad.total() - bad[UNCONFIRMED_SITE]) >= length
        passed = self._owners(site for site in here - {worst} if self._passed[site] > min(since, recently))
        failing = self._owners(bad.keys() - {worst, UNCONFIRMED_SITE}) - passed
        passed |= self._owners(passing.in_window - {worst}) - failing
        return 2 * of_others(bad, worst) >= length and len(failing) > len(passed)

    def _owners(self, sites: Iterable[int]) -> set[Hashable]:
        return {self._owner_of(site) for site in sites}


def _is_visitors(failure: Failure) -> bool:
    return failure.sender is Sender.VISITOR


def _first_attempts(one: Outcomes) -> bool:
    """Return whether the batch has first attempts.

    On retry topics most events may fail without any fault of the product.
    """
    if one.candidates:
        return one.candidates[0].number == 1
    return not one.failures or one.failures[0].attempt.number == 1


def is_for_retries_only(state: BreakerState, outcomes: Iterable[Outcomes]) -> bool:
    """Return whether retries have opened the breaker, and these outcomes are of first attempts.

    Many events may fail for the last time at once without any fault of the product, such as those of a script that was
    never registered. First attempts are then held only if they themselves fail so often that the breaker would trip.
    """
    is_of_retries = state.engaged and not state.by_hand and state.details.get("of_retries") is True
    return is_of_retries and all(map(_first_attempts, outcomes))


def _cause(reason: str, counts: Counts, failure: Failure, *, quiet: bool) -> BreakerCause:
    sites = counts.voting(quiet=quiet)
    details = {
        "topic": failure.attempt.record.topic,
        "partition": failure.attempt.record.partition,
        "offset": failure.attempt.record.offset,
        "of_retries": failure.attempt.number > 1,
        "error_class": failure.error_class.value,
        "error": failure.error[:300],
        "sites": {str(site): count for site, count in sites.most_common(_TOLD_SITES)},
        "sites_total": len(sites),
        "failures_total": sites.total(),
        "failures_of_visitors": counts.visitors.total() if quiet else 0,
    }
    return BreakerCause(reason, details)
