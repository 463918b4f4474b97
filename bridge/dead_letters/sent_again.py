"""Dead letters whose events are persisted meanwhile, since their producers have sent them again: known by the keys of duplicates.

An event is the same as another of its site, id and class of sender. Keys are kept for seven days at least; what is persisted
beyond them is not known here.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Final, NamedTuple

from schemas.dead_letter_filter import DeadLetterFilter
from schemas.registry import Registry
from schemas.settings import Settings
from sinks.dead_letters.groups import MOST_OWNERS, Groups, Guessed, latest_of, read_groups
from sinks.dead_letters.letter import Whose
from sinks.postgres import connection
from sinks.registry import RegistryCache
from sinks.replays.items import persisted_keys
from streams.dedup import claim_of

MOST_LOOKED_UP: Final = 20_000
"""Of how many dead letters the groups look up the keys, the latest of all causes; each takes about ten microseconds."""

MOST_SCRIPTS: Final = 3


async def registry_of(settings: Settings) -> Registry:
    """The scripts as they are registered now; raises SinkUnavailable."""
    registry = RegistryCache(settings.dsn, refresh_seconds=settings.seconds("registry_refresh"))
    await registry.load()
    return registry.current


class SentAgain(NamedTuple):
    """The dead letters whose events are persisted, and how many have no identity by which that is known."""

    persisted: list[Whose]
    unidentified: int


async def sent_again(dsn: str, registry: Registry, letters: Iterable[Whose]) -> SentAgain:
    """Looks up whether their events are persisted; raises SinkUnavailable."""
    claims = {one: claim_of(one.site_id, one.event_id, one.script_id, one.sender, registry) for one in letters}
    async with connection(dsn, "dead letters") as conn:
        keys = await persisted_keys(conn, {claim for claim in claims.values() if claim is not None})
    persisted = [one for one, claim in claims.items() if claim is not None and claim.key in keys]
    return SentAgain(persisted, sum(claim is None for claim in claims.values()))


async def groups_looked_up(
    settings: Settings, chosen: DeadLetterFilter, *, now: datetime, hours: int, limit: int
) -> Groups:
    """The groups of `read_groups`, with how many of the latest open ones of each are persisted; raises SinkUnavailable."""
    found = await read_groups(settings.dsn, chosen, now=now, hours=hours, limit=limit)
    if not found.groups:
        return found
    letters = await latest_of(settings.dsn, chosen, found.groups, MOST_LOOKED_UP)
    persisted, _ = await sent_again(settings.dsn, await registry_of(settings), letters)
    of_these = Counter(one.cause for one in persisted)
    by_cause: defaultdict[str, list[Whose]] = defaultdict(list)
    for letter in letters:
        by_cause[letter.cause].append(letter)
    return found._replace(
        groups=[
            one._replace(
                persisted=of_these[one.cause],
                looked_up=len(by_cause[one.cause]),
                guesses=_guesses(by_cause[one.cause]),
            )
            for one in found.groups
        ]
    )


def _guesses(letters: Iterable[Whose]) -> list[Guessed]:
    """The sites and scripts that most of the letters whose site or script can't be read have in their text.

    A text that names a script alone is of the site that the letter's key names.
    """
    counted: Counter[tuple[int, int | None]] = Counter()
    scripts: defaultdict[tuple[int, int | None], set[str]] = defaultdict(set)
    for one in letters:
        script_id = one.guess.script_id if one.script_id is None else None
        site_id = one.guess.site_id or one.site_id
        if site_id is None or (site_id == one.site_id and script_id is None):
            continue
        counted[site_id, one.site_id] += 1
        if script_id is not None:
            scripts[site_id, one.site_id].add(script_id)
    return [
        Guessed(site_id, sorted(scripts[site_id, keyed])[:MOST_SCRIPTS], count, keyed)
        for (site_id, keyed), count in counted.most_common(MOST_OWNERS)
    ]
