"""Who votes on whether nearly everything fails: sites and their owners, of which each has one vote."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from decimal import Decimal

from schemas.pipeline.outcome import UNCONFIRMED_SITE

Sites = Mapping[int, int]
"""Events by site; UNCONFIRMED_SITE holds those that can't be laid to anybody's door."""


def worst_of(bad: Sites, others: set[int]) -> int | None:
    """The known site with the most dead letters; one of the others if none has any."""
    return max((bad.keys() | others) - {UNCONFIRMED_SITE}, key=lambda site: bad.get(site, 0), default=None)


def of_others(counts: Sites, worst: int | None) -> int:
    """The events of all sites but that one; those that are nobody's do not count."""
    return sum(count for site, count in counts.items() if site not in (worst, UNCONFIRMED_SITE))


def _by_owner(counts: Sites, worst: int | None, owner_of: Callable[[int], Hashable]) -> Counter[Hashable]:
    owned: Counter[Hashable] = Counter()
    for site in counts.keys() - {worst, UNCONFIRMED_SITE}:
        owned[owner_of(site)] += counts[site]
    return owned


def nearly_all(
    good: Sites,
    bad: Sites,
    min_events: int,
    ratio_pct: Decimal,
    owner_of: Callable[[int], Hashable] = lambda site: site,
) -> bool:
    """Whether that share is reached by all together, by the others without the site that fails most, and by most of these.

    A site that is alone has no others to ask: its own share decides. What is nobody's counts in the whole, and is nobody's
    vote. A sender chooses how much it sends, so each owner of the others has one vote, however many sites and events are
    its own.
    """
    bad_total = sum(bad.values())
    total = bad_total + sum(good.values())
    if not bad_total or total < min_events or bad_total * 100 < ratio_pct * total:
        return False
    worst = worst_of(bad, set(good))
    bad_others = of_others(bad, worst)
    others = bad_others + of_others(good, worst)
    if not others:
        own_bad, own_good = (0, 0) if worst is None else (bad.get(worst, 0), good.get(worst, 0))
        return own_bad * 100 >= ratio_pct * (own_bad + own_good)
    if bad_others * 100 < ratio_pct * others:
        return False
    passed, failed = (_by_owner(counts, worst, owner_of) for counts in (good, bad))
    owners = passed.keys() | failed.keys()
    failing = sum(failed[one] * 100 >= ratio_pct * (passed[one] + failed[one]) for one in owners)
    return 2 * failing > len(owners)
