"""Restore of Postgres: a running worker goes back to the restored offsets and fills the gap from Kafka."""

import asyncio
import uuid
from collections import Counter

import pytest
from support.events.settled import LATE_SCRIPT, event, fetch, prepare, produce, settings_for, working
from support.infrastructure.databases import create_database, drop_database
from support.wait import wait_until

from bridge.dev.stack import StackAddresses
from schemas.config.settings import Settings
from schemas.kafka import headers as names
from schemas.pipeline.record import Provenance
from sinks.kafka.producer import make_producer
from sinks.postgres.registry.admin import add_script
from streams.audit import audit

OTHER_LATE_SCRIPT = "late-too"
BEFORE = [
    *(event(number) for number in range(30)),
    *(event(number) for number in range(5)),
    *(event(100 + number, script_id=LATE_SCRIPT, site_id=1) for number in range(6)),
    b"{broken",
]
AFTER = [
    *(event(number) for number in range(200, 240)),
    *(event(number) for number in range(203, 211)),
    *(event(number) for number in range(3)),
    *(event(300 + number, script_id=OTHER_LATE_SCRIPT, site_id=1) for number in range(6)),
    *(event(400 + number, script_id="nobody") for number in range(4)),
    b"{broken too",
]
REPLAYED = event(600)
LATER = [*(event(number) for number in range(500, 520)), *(event(number) for number in range(204, 209))]


async def waiting(settings: Settings, script: str) -> bool:
    statement = "SELECT count(*) = 6 FROM bridge_event_raw WHERE script_id = $1 AND NOT normalized"
    return bool((await fetch(settings, statement, script))[0][0])


async def finished(settings: Settings, raw_events: int) -> bool:
    """Whether all have been read and none waits; False while Postgres is away."""
    try:
        report = await audit(settings)
    except Exception:  # noqa: BLE001  # during the restore, queries fail in many ways
        return False
    totals = report.totals
    return report.balanced and (totals.read, totals.unread, totals.waiting) == (raw_events, 0, 0)


async def rows(settings: Settings) -> set[tuple[object, ...]]:
    """The events without their place, attempt and times, which may differ between two runs."""
    own = {"raw_partition", "raw_offset", "attempt", "normalized_at", "received_at", "occurred_at"}
    found = await fetch(settings, "SELECT * FROM bridge_event")
    made = [tuple(value for name, value in row.items() if name not in own) for row in found]
    assert len(set(made)) == len(made)
    return set(made)


async def drops(settings: Settings) -> Counter[str]:
    found = await fetch(settings, "SELECT dropped_reason FROM bridge_event_raw WHERE dropped_reason IS NOT NULL")
    return Counter(row["dropped_reason"] for row in found)


async def replay_the_first_letter(settings: Settings) -> None:
    """Claim a dead letter and publish its corrected event, as a replay does."""
    replay_id = str(uuid.uuid4())
    (row,) = await fetch(
        settings,
        "UPDATE bridge_event_raw SET disposition = 'claimed', replay_id = $1 WHERE payload = $2 "
        "RETURNING raw_topic, raw_partition, raw_offset",
        replay_id,
        BEFORE[-1],
    )
    headers = [(names.REPLAY_ID, replay_id.encode()), (names.REPLAY_OF, str(Provenance(*row)).encode())]
    async with make_producer(settings) as producer:
        await producer.send_and_wait(settings.topics.raw, REPLAYED, partition=0, headers=headers)


async def disposition(settings: Settings) -> str:
    found = await fetch(settings, "SELECT disposition FROM bridge_event_raw WHERE payload = $1", BEFORE[-1])
    return str(found[0]["disposition"])


async def put_back(stack: StackAddresses, settings: Settings, backup: str) -> None:
    """Restore the backup over the database while workers are connected to it."""
    name = settings.dsn.rsplit("/", 1)[1]
    await asyncio.to_thread(drop_database, stack, name)
    await asyncio.to_thread(create_database, stack, name, template=backup)


@pytest.mark.parametrize("later", [[], LATER], ids=["idle", "under load"])
async def test_a_restored_database_is_filled_from_kafka(stack, database_url, topic_prefix, later: list[bytes]) -> None:
    """Rows and drops equal those of a run without restore, also with retries, duplicates and a replay in between."""
    settings = settings_for(
        stack.kafka, database_url, topic_prefix, retry_delays=("1s", "2s"), lanes=2, topic_partitions=3
    )
    server, name = settings.dsn.rsplit("/", 1)
    backup = f"{name}_backup"
    await prepare(settings)
    await produce(settings, BEFORE)
    async with working(settings):
        await wait_until(lambda: waiting(settings, LATE_SCRIPT), budget_seconds=30, describe="some in the ledger")
        await wait_until(lambda: read(settings, len(BEFORE)), budget_seconds=30, describe="the first events")
    await add_script(settings.dsn, LATE_SCRIPT, 1)
    await asyncio.to_thread(create_database, stack, backup, template=name)
    try:
        # The registry is not in Kafka: the operator enters the missing entries after a restore.
        await add_script(f"{server}/{backup}", OTHER_LATE_SCRIPT, 1)
        async with working(settings) as worker:
            await produce(settings, AFTER)
            await wait_until(lambda: waiting(settings, OTHER_LATE_SCRIPT), budget_seconds=30, describe="some waiting")
            await add_script(settings.dsn, OTHER_LATE_SCRIPT, 1)
            await replay_the_first_letter(settings)
            sent = len(BEFORE) + len(AFTER) + 1
            await wait_until(lambda: finished(settings, sent), budget_seconds=60, describe="everything settled")
            without_restore, dropped = await rows(settings), await drops(settings)
            assert await disposition(settings) == "replayed"

            await put_back(stack, settings, backup)
            assert await rows(settings) < without_restore, "the backup is older"
            await produce(settings, later)
            sent += len(later)
            await wait_until(lambda: finished(settings, sent), budget_seconds=90, describe="healed from Kafka")
            assert not worker.failed.done()
            # The claim is as old as the backup; a second replay of the dead letter writes no second row.
            assert await disposition(settings) == "open"
            healed, after = await rows(settings), await drops(settings)
            await replay_the_first_letter(settings)
            await wait_until(lambda: finished(settings, sent + 1), budget_seconds=60, describe="the second replay")
            assert await rows(settings) == healed
            assert await drops(settings) - after == Counter({"duplicate_event_id": 1})
        assert without_restore <= healed
        assert len(healed) == len(without_restore) + (20 if later else 0)
        assert after - dropped == Counter({"duplicate_event_id": 5} if later else {})
        assert not dropped - after
    finally:
        await asyncio.to_thread(drop_database, stack, backup)


async def read(settings: Settings, raw_events: int) -> bool:
    report = await audit(settings, deep=False)
    return report.totals.unread == 0 and report.totals.read == raw_events
