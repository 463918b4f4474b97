"""A backup in the middle of a load, a disaster, a restore, and workers that fill the gap from Kafka."""

from support.backups import KEY, backup_environment, made
from support.events.settled import event, fetch, prepare, produce, settings_for, working
from support.infrastructure.databases import drop_database, with_database
from support.wait import wait_until

from schemas.config.settings import Settings
from streams.audit import audit

BEFORE = [*(event(number) for number in range(40)), *(event(number) for number in range(5)), b"{broken"]
AFTER = [*(event(number) for number in range(100, 140)), *(event(number) for number in range(30, 35)), b"{broken too"]


async def finished(settings: Settings, raw_events: int) -> bool:
    totals = (report := await audit(settings)).totals
    return report.balanced and (totals.read, totals.unread, totals.waiting) == (raw_events, 0, 0)


async def test_a_restored_backup_is_filled_from_kafka(
    stack, database_url, empty_database, topic_prefix, tmp_path
) -> None:
    """Each event is there once afterwards, also those committed during and after the backup, and the audit balances."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    environment = backup_environment(stack, settings, tmp_path, BRIDGE_BACKUP_KEY=KEY)
    await prepare(settings)
    await produce(settings, BEFORE)
    async with working(settings):
        await wait_until(lambda: finished(settings, len(BEFORE)), budget_seconds=120, describe="the first events")
        backup = await made(environment, "backup", "create")
        await produce(settings, AFTER)
        sent = len(BEFORE) + len(AFTER)
        await wait_until(lambda: finished(settings, sent), budget_seconds=120, describe="the other events")
    verified = await made(environment, "backup", "verify")
    assert (verified["backup_id"], verified["problems"]) == (backup["backup_id"], [])
    drop_database(stack, database_url.rsplit("/", 1)[1])

    name = empty_database.rsplit("/", 1)[1]
    del environment["BRIDGE_DATABASE_URL"]
    restored = await made(
        environment | {"BRIDGE_RESTORE_DATABASE_URL": empty_database},
        "restore",
        backup["backup_id"][:16],
        "--confirm",
        name,
    )

    assert restored["rows"] == backup["processed_total"]
    healed = settings_for(stack.kafka, with_database(settings.dsn, name), topic_prefix)
    async with working(healed):
        await wait_until(lambda: finished(healed, sent), budget_seconds=120, describe="healed from Kafka")
    (row,) = await fetch(healed, "SELECT count(*) AS events, count(DISTINCT event_id) AS ids FROM bridge_event")
    assert (row["events"], row["ids"]) == (80, 80)
    runs = await fetch(healed, "SELECT script FROM script_run ORDER BY started_at")
    assert [run["script"] for run in runs] == ["backup-create", "restore"]
