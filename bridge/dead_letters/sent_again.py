"""Dead letters whose producers have sent the event again, so that it is persisted now.

They are found in the key table of the dedup: an event with the same site, event id and sender class is the same event.
Keys are kept for at least seven days. Events whose keys were removed since are not found.
"""

from collections import Counter, defaultdict
from collections.abc import Generator, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from schemas.config.settings import Settings
from schemas.documents.dead_letter_filter import DeadLetterFilter
from schemas.pipeline.outcome import Claim
from schemas.pipeline.registry import Registry
from sinks.cooperative import Share, in_pieces
from sinks.postgres.connection import connection
from sinks.postgres.dead_letters.groups import MOST_OWNERS, Group, Groups, Guessed, latest_of, read_groups
from sinks.postgres.dead_letters.letter import Whose
from sinks.postgres.registry.cache import RegistryCache
from sinks.postgres.replay_items.items import persisted_keys
from streams.pipeline.dedup_key import claim_of

MOST_LOOKED_UP: Final = 20_000
"""Most dead letters to look up for all groups together, the latest first. Each takes about ten microseconds."""

MOST_SCRIPTS: Final = 3


async def sent_again(dsn: str, registry: Registry, letters: Sequence[Whose], share: Share) -> tuple[list[Whose], int]:
    """Look up which of these dead letters have persisted events; raises SinkUnavailable.

    Return these, and the number of those without a readable site and event id. `share` limits how long this may occupy
    the event loop.
    """
    found: list[Whose] = []
    unidentified = 0
    claims: dict[Whose, Claim | None] = {}

    def claim(piece: Sequence[Whose]) -> None:
        claims.clear()
        for one in piece:
            claims[one] = claim_of(one.site_id, one.event_id, one.script_id, one.sender, registry)

    async with connection(dsn, "dead letters") as conn:
        for piece in in_pieces(letters):
            await share.do(partial(claim, piece))
            keys = await persisted_keys(conn, {one for one in claims.values() if one is not None})
            found += [letter for letter, one in claims.items() if one is not None and one.key in keys]
            unidentified += sum(one is None for one in claims.values())
    return found, unidentified


async def groups_looked_up(
    settings: Settings, chosen: DeadLetterFilter, share: Share, *, now: datetime, hours: int, limit: int
) -> Groups:
    """Return the groups of dead letters, with the number of each group's latest open ones that are persisted.

    A dead letter is persisted if its producer has sent the event again, successfully. Raises SinkUnavailable.

    `share` limits how long this may occupy the event loop.
    """
    found = await read_groups(settings.dsn, chosen, now=now, hours=hours, limit=limit)
    if not found.groups:
        return found
    letters = await latest_of(settings.dsn, chosen, found.groups, MOST_LOOKED_UP, share)
    registry = (await RegistryCache.loaded(settings)).current
    persisted, _ = await sent_again(settings.dsn, registry, letters, share)
    return await share.finish(_counted(found, letters, persisted))


def _counted(found: Groups, letters: Sequence[Whose], persisted: Sequence[Whose]) -> Generator[None, None, Groups]:
    tallies: defaultdict[str, _Tally] = defaultdict(_Tally)
    for piece in in_pieces(letters):
        for one in piece:
            tallies[one.cause].add(one)
        yield
    for piece in in_pieces(persisted):
        for one in piece:
            tallies[one.cause].persisted += 1
        yield
    return found._replace(groups=[tallies[one.cause].noted_in(one) for one in found.groups])


class _Tally:
    """Counters for the dead letters of one cause."""

    def __init__(self) -> None:
        self.looked_up = 0
        self.persisted = 0
        self._counted: Counter[tuple[int, int | None]] = Counter()
        self._scripts: defaultdict[tuple[int, int | None], set[str]] = defaultdict(set)

    def add(self, letter: Whose) -> None:
        """Count the dead letter. If its site or script can't be read, also count the ones that its text contains.

        A script in a text without a site counts for the site in the dead letter's record key.
        """
        self.looked_up += 1
        script_id = letter.guess.script_id if letter.script_id is None else None
        site_id = letter.guess.site_id or letter.site_id
        if site_id is None or (site_id == letter.site_id and script_id is None):
            return
        self._counted[site_id, letter.site_id] += 1
        if script_id is not None:
            self._scripts[site_id, letter.site_id].add(script_id)

    def noted_in(self, group: Group) -> Group:
        """Return the group with these counts, and the commonest sites and scripts in unreadable dead letters."""
        guesses = [
            Guessed(site_id, sorted(self._scripts.get((site_id, keyed), ()))[:MOST_SCRIPTS], count, keyed)
            for (site_id, keyed), count in self._counted.most_common(MOST_OWNERS)
        ]
        return group._replace(persisted=self.persisted, looked_up=self.looked_up, guesses=guesses)
