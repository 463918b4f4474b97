"""Counts of the old values that a replay plan's correction replaces, by site and organisation; pure functions.

A correction is a list of changes that a replay makes to the bodies of dead letters before it sends them.
"""

from collections import Counter
from typing import Final

from schemas.documents.replay import Replaced, Sample
from streams.rules.correction import Old, diff
from streams.rules.replay_rules import Judgement

MOST_SAMPLES: Final = 12
MOST_OF_A_SITE: Final = 4
_MOST_COUNTED: Final = 10_000
_MOST_OF_A_FIELD: Final = 100
_MOST_TOLD: Final = 50
_REST: Final = "(other values)"

_Owner = tuple[int | None, int | None]


class Replacements:
    """Counts of the old values that a correction replaces in the items of one replay plan, and examples."""

    def __init__(self) -> None:
        self._items: Counter[tuple[str, Old, _Owner]] = Counter()
        self._values: dict[str, set[Old]] = {}
        self._orgs: set[int | None] = set()
        self.samples: list[Sample] = []
        """Examples of what the correction changes: for each site and old value, the first changed item."""
        self._sampled: set[tuple[int | None, tuple[Old, ...]]] = set()
        self._of_site: Counter[int | None] = Counter()

    def add(self, one: Judgement) -> None:
        """Count the values that the correction replaces in an item; an item that it does not change is not counted."""
        item = one.item
        if one.body is item.body:
            return
        self._orgs.add(item.org_id)
        for old in one.replaced:
            if old.new is not None:
                self._count(old, (item.site_id, item.org_id))
        what = (item.site_id, one.replaced)
        full = len(self.samples) >= MOST_SAMPLES or self._of_site[item.site_id] >= MOST_OF_A_SITE
        if not full and what not in self._sampled:
            self._sampled.add(what)
            self._of_site[item.site_id] += 1
            changes = diff(item.body.value, one.body.value)
            self.samples.append(Sample(provenance=str(item.provenance), diff=changes))

    def told(self) -> list[Replaced]:
        """Return the replaced old values with the number of their items, the most frequent first."""
        return [
            Replaced(field=field, value=old.text, new=old.new or "", site_id=site_id, org_id=org_id, items=count)
            for (field, old, (site_id, org_id)), count in self._items.most_common(_MOST_TOLD)
        ]

    def warnings(self) -> list[str]:
        """Return warnings of likely mistakes in the correction.

        The mistakes are that it replaces several old values by one new value, and that it affects several
        organisations.
        """
        found = []
        for field, olds in self._values.items():
            if len(olds) > 1:
                many = f"at least {len(olds)}" if len(olds) >= _MOST_OF_A_FIELD else str(len(olds))
                (new, *more) = {old.new for old in olds}
                by = "a constant" if more else new
                found.append(
                    f"{field}: {by} would replace {many} different values; unless it is right for each item, make a plan for each old value, "
                    "with --text, --site-id, --org-id or a --patch with a test"
                )
        if len(self._orgs) > 1:
            named = ", ".join(
                "none" if one is None else str(one) for one in sorted(self._orgs, key=lambda one: one or 0)
            )
            found.append(
                f"the correction would change events of {len(self._orgs)} organisations ({named[:200]}); unless it is right for all, "
                "make a plan for each organisation, with --org-id"
            )
        return found

    def _count(self, old: Old, owner: _Owner) -> None:
        values = self._values.setdefault(old.field, set())
        if len(values) < _MOST_OF_A_FIELD:
            values.add(old)
        key = (old.field, old, owner)
        if len(self._items) >= _MOST_COUNTED and key not in self._items:
            key = (old.field, old._replace(text=_REST, whole=0), owner)
        self._items[key] += 1
