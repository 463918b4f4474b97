"""From a page to a replay of corrected events in under ten commands, as the documentation shows it."""

import json
from pathlib import Path

from support.events.settled import fetch
from support.events.situations import Place, a_plugin_writes_a_wrong_currency
from support.page_runner import run_page
from support.pages import steps

from streams.audit import audit

PAGE = "replay-transcript.md"
WRONG = 30


async def test_from_a_page_to_a_mended_replay(stack, database_url: str, topic_prefix: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # the stack's own
    """Each command gives the documented answer; then every event is a corrected row, and no dead letter is open."""
    assert len(steps(PAGE)) < 10

    async with a_plugin_writes_a_wrong_currency(Place(stack, database_url, topic_prefix, tmp_path), WRONG) as trouble:
        settings = trouble.settings
        await run_page(PAGE, trouble, print)

        rows = await fetch(settings, "SELECT event_id, currency FROM bridge_event WHERE currency IS NOT NULL")
        assert sorted(rows) == sorted((f"e-{number}", "EUR") for number in range(WRONG))
        letters = await fetch(settings, "SELECT disposition, replayed_as, payload FROM bridge_event_raw")
        assert len(letters) == WRONG
        for letter in letters:
            assert (letter["disposition"], letter["replayed_as"] is not None) == ("replayed", True)
            assert json.loads(letter["payload"])["currency"] == "EURO"
        report = await audit(settings)
        assert report.balanced, report.problems
        assert report.totals.unread == 0
