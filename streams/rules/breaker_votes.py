"""The circuit breaker's decision whether nearly all events fail, in which each owner of sites has one vote."""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from decimal import Decimal

from schemas.pipeline.outcome import UNCONFIRMED_SITE

Sites = Mapping[int, int]
"""Number of events by site; UNCONFIRMED_SITE has those of all unknown sites."""


def worst_of(bad: Sites, others: set[int]) -> int | None:
    """Return the known site with the most dead letters. If no known site has any, return one of `others`."""
    return max((bad.keys() | others) - {UNCONFIRMED_SITE}, key=lambda site: bad.get(site, 0), default=None)


def of_others(counts: Sites, worst: int | None) -> int:
    """Return how many of the counted events are of known sites other than the site `worst`."""
    return sum(count for site, count in counts.items() if site not in (worst, UNCONFIRMED_SITE))


def _by_owner(counts: Sites, worst: int | None, owner_of: Callable[[int], Hashable]) -> Counter[Hashable]:
    owned: Counter[Hashable] = Counter()
    for site in counts.keys() - {worst, UNCONFIRMED_SITE}:
        owned[owner_of(site)] += counts[site]
    return owned


def nearly_all(
    good: Sites, bad: Sites, min_events: int, ratio_pct: Decimal, owner_of: Callable[[int], Hashable]
) -> bool:
    """Return whether nearly all events fail: at least `ratio_pct` percent of them, of at least `min_events` events.

    This share must be reached by all events together, by the events of all sites except the worst, and by more than
    half of the owners. An owner is an organisation, or a site without one.

    Each owner of sites other than the worst has one vote: its own share of failures. The vote counts once however many
    sites and events the owner has, because a sender chooses how much it sends. Events of unknown sites count among all
    events but have no vote. If there is only one site, its own share decides.
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
