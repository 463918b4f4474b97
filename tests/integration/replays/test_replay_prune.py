"""Plans of replays are removed with their items long after their last change, unless they hold an event."""

from support.events.replays import dead_letters, late, plan, replay_settings, until
from support.events.settled import fetch, working

from schemas.config.duration import Duration
from schemas.config.settings import Settings
from sinks.postgres.replays.plans import prune

KEEP_SECONDS = 90 * 86400.0


async def plans(settings: Settings) -> set[str]:
    """The remaining plans, each with all of its items."""
    rows = await fetch(settings, "SELECT replay_id::text AS plan, count(*) AS items FROM replay_item GROUP BY 1")
    assert {row["items"] for row in rows} <= {3}
    found = {row["plan"] for row in await fetch(settings, "SELECT replay_id::text AS plan FROM replay")}
    assert found == {row["plan"] for row in rows}
    return found


async def test_old_plans_are_removed_unless_they_hold_an_event(stack, database_url: str, topic_prefix: str) -> None:
    """A worker removes them at its start and every hour; dead letters and the history of runs stay."""
    settings = replay_settings(stack, database_url, topic_prefix)
    await dead_letters(settings, late(3))
    old, holding, young = [(await plan(settings, "--all", "--yes"))[0] for _ in range(3)]
    await fetch(
        settings,
        "UPDATE replay SET updated_at = now() - interval '91 days' WHERE replay_id = ANY ($1::text[]::uuid[])",
        [old, holding],
    )
    await fetch(
        settings,
        "UPDATE bridge_event_raw SET disposition = 'claimed', replay_id = $1::text::uuid"
        " WHERE raw_partition = 0 AND raw_offset = 0",
        holding,
    )

    assert await prune(settings.dsn, KEEP_SECONDS) == 1
    assert await plans(settings) == {holding, young}

    await fetch(settings, "UPDATE bridge_event_raw SET disposition = 'open', replay_id = NULL")
    async with working(settings.model_copy(update={"replay_keep": Duration("0s")})):
        await until(settings, "SELECT sum(next_offset) = 3 FROM stream_offset WHERE topic = $1", settings.topics.raw)
    assert await plans(settings) == {holding, young}
    async with working(settings):
        await until(settings, "SELECT count(*) = 1 FROM replay")
    assert await plans(settings) == {young}
    assert (await fetch(settings, "SELECT count(*) FROM bridge_event_raw WHERE disposition = 'open'"))[0][0] == 3
    assert (await fetch(settings, "SELECT count(*) FROM script_run WHERE script = 'dlq-plan'"))[0][0] == 3
