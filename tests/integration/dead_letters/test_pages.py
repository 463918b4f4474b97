"""Pages follow one another without a gap or a repeat, and the total is that of all of them."""

from datetime import timedelta

import pytest
from support.events.dead_letters import DROPPED_AT, add_dropped, dropped

from schemas.documents.dead_letter_filter import DeadLetterFilter
from schemas.errors import InvalidInput
from schemas.pipeline.record import Provenance
from sinks.postgres.dead_letters.pages import Place, page


async def test_pages_follow_one_another(database_url: str) -> None:
    """Pages have no gap or repeat, also with equal times and while newer dead letters arrive."""
    rows = [dropped(number, dropped_at=DROPPED_AT + timedelta(seconds=number // 10)) for number in range(35)]
    others = [dropped(100 + number, site_id=2) for number in range(5)]
    await add_dropped(database_url, rows + others)
    chosen = DeadLetterFilter(site_id=(1,))
    seen, after = [], None
    while True:
        found = await page(database_url, chosen, limit=10, after=after)
        seen += [line.provenance.offset for line in found.lines]
        if len(seen) == 10:
            await add_dropped(database_url, [dropped(200, dropped_at=DROPPED_AT + timedelta(days=1))])
            assert found.total == 35
        else:
            assert found.total == 36
        if found.following is None:
            break
        after = Place.parse(str(found.following))
    assert seen == list(range(34, -1, -1))


async def test_a_page_that_is_not_full_is_all_there_is(database_url: str) -> None:
    """A page below its limit has no next one, and nothing is counted."""
    await add_dropped(database_url, [dropped(1), dropped(2, disposition="replayed")])
    found = await page(database_url, DeadLetterFilter(), limit=1)
    assert ([line.provenance for line in found.lines], found.total) == ([Provenance("bridge.raw", 0, 1)], 1)
    assert found.following is None
    assert (await page(database_url, DeadLetterFilter(site_id=(9,)), limit=1)).total == 0


@pytest.mark.parametrize("text", ["", "x", "2026-11-21T12:00:00Z", "2026-11-21T12:00:00Z/x", "now/bridge.raw:0:1"])
def test_what_is_no_end_of_a_page_is_refused(text: str) -> None:
    """The error names where a valid value comes from."""
    with pytest.raises(InvalidInput, match="pass the value of `next` from the page before"):
        Place.parse(text)
