"""Prefixes of causes, plans and runs: the one that matches, or an error that names the candidates."""

from datetime import UTC, datetime

import pytest
from support.events.dead_letters import add_dropped, dropped

from schemas.documents.dead_letter_filter import DeadLetterFilter
from schemas.errors import InvalidInput, InvariantViolation, NoSuchThing
from sinks.postgres.connection import connection
from sinks.postgres.dead_letters.causes import with_whole_causes
from sinks.postgres.dead_letters.filter import cause_key, cause_name, conditions
from sinks.postgres.replays.plans import find_plan, freeze
from sinks.postgres.runs.history import note_begin, show_run

AT = datetime(2026, 7, 1, tzinfo=UTC)


async def causes(database_url: str) -> list[str]:
    async with connection(database_url, "test") as conn:
        return [cause_name(row["cause"]) for row in await conn.fetch("SELECT DISTINCT cause FROM bridge_event_raw")]


async def test_cause_is_found_by_how_it_begins(database_url: str) -> None:
    """Prefixes are completed beside any other filter, also of causes with negative and positive keys."""
    words = ("one", "two", "three", "four", "five", "six", "seven", "eight")
    await add_dropped(database_url, [dropped(number, error=word) for number, word in enumerate(words)])
    found = await causes(database_url)
    assert len({cause_key(one) < 0 for one in found}) == 2
    for cause in found:
        chosen = DeadLetterFilter(cause=(cause[:5], found[0]), site_id=(4711,))
        assert await with_whole_causes(database_url, chosen) == chosen.model_copy(update={"cause": (cause, found[0])})


async def test_cause_of_nobody_and_of_another_organisation_is_none(database_url: str) -> None:
    """An unused cause and another organisation's have the same error."""
    await add_dropped(database_url, [dropped(1, error="one")])
    (cause,) = await causes(database_url)
    for begin, org_ids in (("0" * 15, None), (cause[:6], (99,))):
        with pytest.raises(NoSuchThing, match=f"there is no cause '{begin}'; see `bridge dlq groups`"):
            await with_whole_causes(database_url, DeadLetterFilter(cause=(begin,), org_ids=org_ids))


async def test_cause_is_one_of_the_organisations_dead_letters(database_url: str) -> None:
    """A prefix matches the organisation's own causes only."""
    rows = [
        dropped(1, error="own"),
        dropped(2, error="own"),
        dropped(3, error="foreign", site_id=2),
    ]
    await add_dropped(database_url, rows, orgs={1: 31, 2: 32})
    async with connection(database_url, "test") as conn:
        found = await conn.fetch("SELECT cause FROM bridge_event_raw WHERE raw_offset > 1 ORDER BY raw_offset")
    own, foreign = (cause_name(row["cause"]) for row in found)
    chosen = DeadLetterFilter(cause=(own[:8],), org_ids=(31,))
    assert (await with_whole_causes(database_url, chosen)).cause == (own,)
    with pytest.raises(NoSuchThing, match=f"there is no cause '{foreign[:8]}'"):
        await with_whole_causes(database_url, DeadLetterFilter(cause=(foreign[:8],), org_ids=(31,)))


async def test_beginning_of_several_names_them(database_url: str) -> None:
    """A prefix of several plans or runs is refused; a whole id matches even if it is another one's prefix."""
    async with connection(database_url, "test") as conn:
        for last in ("1", "2"):
            await freeze(
                conn,
                f"0f3a0000-0000-4000-8000-00000000000{last}",
                DeadLetterFilter(),
                reason="",
                corrections=[],
                limit=None,
            )
        with pytest.raises(
            InvalidInput, match=r"more than one plan begins with '0f3a': 0f3a.*1, 0f3a.*2; give more|2, 0f3a.*1"
        ):
            await find_plan(conn, "0f3a")
        whole = "0f3a0000-0000-4000-8000-000000000002"
        assert (await find_plan(conn, whole)).replay_id == whole
        with pytest.raises(NoSuchThing, match=r"there is no plan '0f3'; .* at least the first 4 characters"):
            await find_plan(conn, "0f3")
    for run_id in ("r2", "r2-again", "nightly", "nightly-2", *(f"many-{number}" for number in range(9))):
        await note_begin(database_url, run_id, "process", AT)
    assert (await show_run(database_url, "nightly")).run_id == "nightly"
    assert (await show_run(database_url, "r2")).run_id == "r2"
    assert (await show_run(database_url, "nightly-")).run_id == "nightly-2"
    with pytest.raises(
        InvalidInput, match=r"more than one run begins with 'nigh': nightly.*nightly-2; give more of its characters"
    ):
        await show_run(database_url, "nigh")
    with pytest.raises(InvalidInput, match=r"begins with 'many': many-\d(, many-\d){4} and more; give more"):
        await show_run(database_url, "many")
    with pytest.raises(
        NoSuchThing, match=r"there is no run 'n'; see `bridge runs list`; .* at least the first 4 characters"
    ):
        await show_run(database_url, "n")


def test_beginning_that_was_not_made_whole_is_a_defect() -> None:
    """A cause that was not completed would select another cause."""
    with pytest.raises(InvariantViolation, match="'0f3a' is the beginning of a cause's key"):
        conditions(DeadLetterFilter(cause=("0f3a",)))
