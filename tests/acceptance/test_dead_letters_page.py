"""Every command on the page about dead letters gives the page's answer."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

from support.events.dead_letters import add_dropped, dropped
from support.events.settled import environment_of, settings_for
from support.pages import commands
from support.processes.command import bridge

from schemas.pipeline.record import Provenance
from schemas.reasons import DroppedReason, ErrorClass
from sinks.kafka.topics import apply_topics

PAGE = "dead-letters.md"
CAUSE = "5f0c1d8f6a2e9b47"
EXAMPLE = Provenance("bridge.raw", 7, 5120)
UNREGISTERED = 5


async def test_the_page_s_commands(stack, database_url: str, topic_prefix: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]  # the stack's own
    """The commands run in order, on the page's dead letters; only the group's key and the paths of files differ."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    minute_ago = datetime.now(UTC) - timedelta(minutes=1)
    unregistered = dropped(
        0, dropped_reason=DroppedReason.RETRY_EXHAUSTED, error_class=ErrorClass.UNKNOWN_SCRIPT, attempt=4, site_id=7,
        script_id="widget", error="script 'widget' is not registered", dropped_at=minute_ago,
    )  # fmt: skip
    copy = dropped(
        0, dropped_reason=DroppedReason.DUPLICATE_EVENT_ID, disposition=None, event_id="again", dropped_at=minute_ago
    )
    rows = [unregistered._replace(provenance=EXAMPLE._replace(offset=5116 + number)) for number in range(UNREGISTERED)]
    rows += [copy._replace(provenance=Provenance("bridge.raw", 1, number)) for number in range(3)]
    await add_dropped(settings.dsn, rows, orgs={7: 3})
    await apply_topics(settings)
    ran = {}
    key = await asyncio.to_thread(bridge, "dlq", "groups", "--json-output", "-", settings=environment_of(settings))
    cause = json.loads(key.stdout)["groups"][0]["cause"]
    for words in commands(PAGE):
        given = [word.replace(CAUSE, cause).replace("letters.", f"{tmp_path}/letters.") for word in words]
        done = await asyncio.to_thread(bridge, *given, settings=environment_of(settings))
        assert done.returncode == 0, (words, done.stderr.decode())
        ran[" ".join(words)] = done.stdout.decode()

    assert "script … is not registered" in ran["dlq groups --since 2h"]
    for narrower in ("--site-id 7", "--org-ids 3,5"):
        assert f"{UNREGISTERED} dead letters, 1 cause\n" in ran[f"dlq groups --since 2h {narrower}"]
    assert "5 of 5" in ran[f"dlq list --cause {CAUSE} --limit 10"]
    assert "script 'widget' is not registered" in ran[f"dlq show {EXAMPLE}"]
    assert "again" in ran["dlq groups --dropped-reason duplicate_event_id --since 24h"]
    assert len((tmp_path / "letters.ndjson").read_text().splitlines()) == UNREGISTERED
    assert len((tmp_path / "letters.csv").read_text().splitlines()) == UNREGISTERED + 1
    discarded = [text for words, text in ran.items() if words.startswith("dlq discard")]
    assert [text.partition(";")[0] for text in discarded] == [
        "5 would be discarded", "5 discarded", "0 discarded as persisted meanwhile",
    ]  # fmt: skip
    assert "dlq-discard" in ran["runs list --script dlq-discard"]
