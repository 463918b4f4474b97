"""Records that no worker can read or dead-letter whole stop neither the worker nor other records."""

import asyncio
import json
import subprocess

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from support.events.dlq_reader import decoded, read_dead_letter
from support.events.settled import environment_of, event, fetch, prepare, produce, settings_for, working
from support.events.unreadable import send_unreadable
from support.events.verdicts import add_change
from support.processes.command import bridge, words
from support.processes.programs import environment
from support.wait import wait_until

from bridge.dev.stack.ports import choose
from schemas.config.settings import Settings
from streams.audit import audit
from telemetry import metrics

LARGE = b" " * (3 * 1024 * 1024)


async def send_raw(settings: Settings, value: bytes) -> None:
    """Send one record to partition 0, compressed so well that the broker accepts any size."""
    async with AIOKafkaProducer(
        **settings.kafka_client(), compression_type="gzip", max_request_size=16 * 1024 * 1024
    ) as producer:
        await producer.send_and_wait(settings.topics.raw, value, partition=0)


async def test_a_batch_that_inflates_to_too_much_holds_its_partition_only(stack, database_url, topic_prefix) -> None:
    """A batch over inflate_max_bytes is never inflated, and only its partition pauses.

    An operator skips the batch.
    """
    settings = settings_for(stack.kafka, database_url, topic_prefix, inflate_max_bytes=1024 * 1024)
    await prepare(settings)
    await send_raw(settings, LARGE)
    await produce(settings, [event(number) for number in range(20)])

    async def held() -> bool:
        rows = await fetch(settings, "SELECT next_offset FROM stream_offset WHERE held LIKE '%inflates to more than%'")
        return [row["next_offset"] for row in rows] == [0]

    async with working(settings) as worker:
        await wait_until(lambda: _settled(settings, 1, 10), budget_seconds=30, describe="the other partition")
        await wait_until(held, budget_seconds=30, describe="the partition held and noted")
        assert not worker.failed.done()
        done = await asyncio.to_thread(
            bridge, "offsets", "skip", f"{settings.topics.raw}:0", "--offset", "0", "--reason", "a bomb",
            settings=environment_of(settings, BRIDGE_INFLATE_MAX_BYTES="1048576"),
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        await wait_until(lambda: _settled(settings, 0, 11), budget_seconds=30, describe="what stands behind it")
    report = await audit(settings)
    assert report.balanced, report.problems
    assert (report.totals.persisted, report.totals.skipped) == (20, 1)


async def _settled(settings: Settings, partition: int, offset: int) -> bool:
    conn = await asyncpg.connect(settings.dsn)
    try:
        return bool(
            await conn.fetchval(
                "SELECT next_offset >= $3 FROM stream_offset WHERE topic = $1 AND partition = $2",
                settings.topics.raw, partition, offset,
            )
        )  # fmt: skip
    finally:
        await conn.close()


async def test_a_dead_letter_that_is_too_large_goes_without_its_value(stack, database_url, topic_prefix) -> None:
    """The ledger keeps the beginning of the value and records its size, and the records behind it are committed."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    await send_raw(settings, LARGE)
    await produce(settings, [event(number) for number in range(20)])
    async with working(settings):
        await wait_until(lambda: _settled(settings, 0, 11), budget_seconds=30, describe="the records behind it")
    conn = await asyncpg.connect(database_url)
    kept, error = await conn.fetchrow("SELECT octet_length(payload), last_error FROM bridge_event_raw")
    assert kept == 65_536
    assert error.endswith(f"65536 of {len(LARGE)} bytes of its value are kept")
    await conn.close()
    report = await audit(settings)
    assert report.balanced, report.problems
    assert (report.totals.persisted, report.totals.dropped) == (20, 1)
    async with AIOKafkaConsumer(
        settings.topics.dlq, **settings.kafka_client(), auto_offset_reset="earliest", fetch_max_bytes=2**26
    ) as consumer:
        letter = read_dead_letter(await consumer.getone())
    assert letter.value_omitted or decoded(letter.value) == LARGE


async def test_a_record_that_cannot_be_read_holds_its_partition_only(stack, database_url, topic_prefix) -> None:
    """The worker lives, the other partition is read, and the metric names the paused one."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    await send_unreadable(settings, "bad")
    await produce(settings, [event(number) for number in range(10, 30)])
    gauge = metrics.UNREADABLE.labels(settings.topics.raw, "0")
    async with working(settings) as worker:
        await wait_until(lambda: _settled(settings, 1, 10), budget_seconds=30, describe="the other partition")
        await wait_until(lambda: gauge._value.get() == 1, budget_seconds=30, describe="the held partition's metric")
        assert not worker.failed.done()
    assert not await _settled(settings, 0, 1)


async def skip(settings: Settings, partition: int, offset: int, *more: str) -> tuple[int, str]:
    words = ("offsets", "skip", f"{settings.topics.raw}:{partition}", "--offset", str(offset), "--reason", "not ours")
    done = await asyncio.to_thread(bridge, *words, *more, settings=environment_of(settings))
    assert b"Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout.decode()


async def _held_at(settings: Settings, offset: int) -> bool:
    rows = await fetch(settings, "SELECT next_offset FROM stream_offset WHERE held LIKE 'UnicodeDecodeError%'")
    return [row["next_offset"] for row in rows] == [offset]


async def test_an_operator_passes_one_record_that_cannot_be_read(stack, database_url, topic_prefix) -> None:
    """`offsets skip` skips exactly the record at the paused position; the worker resumes without a restart.

    The audit balances.
    """
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    await produce(settings, [event(number) for number in range(4)])
    await send_unreadable(settings, "bad")
    await produce(settings, [event(number) for number in range(10, 30)])
    async with working(settings):
        await wait_until(lambda: _held_at(settings, 2), budget_seconds=30, describe="the partition held and noted")
        await wait_until(lambda: _settled(settings, 1, 12), budget_seconds=30, describe="the other partition")
        for partition, offset, why in (
            (0, 1, "has the stored offset 2, not 1"),
            (0, 3, "has the stored offset 2, not 3"),
            (1, 12, "there is no record at 12 yet"),
            (7, 0, "Kafka has no"),
        ):
            code, said = await skip(settings, partition, offset)
            assert (code, why in said) == (3, True), said
        code, said = await skip(settings, 0, 2, "--dry-run")
        assert code == 0, said
        assert await _held_at(settings, 2)
        code, said = await skip(settings, 0, 2)
        assert code == 0, said
        assert "UnicodeDecodeError" in said
        await wait_until(lambda: _settled(settings, 0, 13), budget_seconds=30, describe="what stands behind it")
    report = await audit(settings)
    assert report.balanced, report.problems
    assert (report.totals.persisted, report.totals.skipped, report.totals.unread) == (24, 1, 0)
    rows = await fetch(settings, "SELECT started_by, summary FROM script_run WHERE exit_code = 0")
    assert [json.loads(row["summary"])["reason"] for row in rows] == ["not ours"]
    assert rows[0]["started_by"]


async def test_a_record_that_can_be_read_is_not_passed(stack, database_url, topic_prefix) -> None:
    """`offsets skip` refuses a readable record and names the option `--readable`."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    async with working(settings):
        await wait_until(lambda: _settled(settings, 0, 0), budget_seconds=30, describe="the claim")
    await send_unreadable(settings, "good")
    code, said = await skip(settings, 0, 0)
    assert code == 3
    assert "can be read" in said
    assert "--readable" in said
    assert not await _settled(settings, 0, 1)


async def test_an_operator_passes_a_readable_record_by_saying_so(stack, database_url, topic_prefix) -> None:
    """`offsets skip --readable` skips exactly that record and counts it; the records behind it are committed."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    async with working(settings):
        await wait_until(lambda: _settled(settings, 0, 0), budget_seconds=30, describe="the claim")
    await produce(settings, [event(number) for number in range(4)])
    code, said = await skip(settings, 0, 1, "--readable")
    assert (code, "has the stored offset 0, not 1" in said) == (3, True), said
    code, said = await skip(settings, 0, 0, "--readable", "--dry-run")
    assert (code, "would be skipped" in said) == (0, True), said
    code, said = await skip(settings, 0, 0, "--readable")
    assert (code, f"value of {len(event(0))} bytes), and is given up" in said) == (0, True), said
    async with working(settings):
        await wait_until(lambda: _settled(settings, 0, 2), budget_seconds=30, describe="what stands behind it")
        await wait_until(lambda: _settled(settings, 1, 2), budget_seconds=30, describe="the other partition")
    report = await audit(settings)
    assert report.balanced, report.problems
    assert (report.totals.persisted, report.totals.skipped, report.totals.unread) == (3, 1, 0)


async def test_what_stands_before_it_in_its_batch_is_settled(stack, database_url, topic_prefix) -> None:
    """Records before the unreadable one in its batch are committed, so that an operator skips no sound record."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    await send_unreadable(settings, "good", "good", "bad", "good")
    async with working(settings):
        await wait_until(lambda: _held_at(settings, 2), budget_seconds=30, describe="the partition held at the third")
        # The client cannot read on in such a batch, so the record behind it is skipped as well.
        code, said = await skip(settings, 0, 2, "--batch")
        assert (code, "offsets 2 to 3 (2 records) skipped" in said) == (0, True), said
        await produce(settings, [event(1)])
        await wait_until(lambda: _settled(settings, 0, 5), budget_seconds=30, describe="the next batch")
    assert (await fetch(settings, "SELECT count(*) FROM bridge_event_raw"))[0][0] == 2
    assert (await audit(settings)).balanced


async def send_crowd(settings: Settings, count: int) -> None:
    """Send one compressed batch of so many empty records to partition 0."""
    size = 16 * 1024 * 1024
    async with AIOKafkaProducer(
        **settings.kafka_client(), compression_type="gzip", max_batch_size=size, max_request_size=size
    ) as producer:
        batch = producer.create_batch()
        for _ in range(count):
            assert batch.append(key=None, value=b"", timestamp=None)
        await (await producer.send_batch(batch, settings.topics.raw, partition=0))


async def test_an_operator_skips_a_batch_at_once(stack, database_url, topic_prefix) -> None:
    """`offsets skip --batch` skips a batch of too many records by one command, and no record behind it.

    The audit balances.
    """
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    await produce(settings, [event(number) for number in range(4)])
    await send_crowd(settings, 150_001)
    await produce(settings, [event(number) for number in range(10, 30)])

    async def held() -> bool:
        rows = await fetch(
            settings, "SELECT next_offset FROM stream_offset WHERE held LIKE '%more than 150000 records%'"
        )
        return [row["next_offset"] for row in rows] == [2]

    async with working(settings):
        await wait_until(held, budget_seconds=60, describe="the partition held and noted")
        code, said = await skip(settings, 0, 2, "--dry-run")
        assert (code, "up to offset 150002, can be skipped at once with --batch" in said) == (0, True), said
        code, said = await skip(settings, 0, 2, "--batch", "--readable")
        assert (code, "omit --readable" in said) == (3, True), said
        code, said = await skip(settings, 0, 2, "--batch", "--dry-run")
        assert (code, "offsets 2 to 150002 (150001 records) would be skipped" in said) == (0, True), said
        assert await held()
        code, said = await skip(settings, 0, 2, "--batch")
        assert (code, "offsets 2 to 150002 (150001 records) skipped" in said) == (0, True), said
        await wait_until(lambda: _settled(settings, 0, 150_013), budget_seconds=30, describe="what stands behind it")
    report = await audit(settings)
    assert report.balanced, report.problems
    assert (report.totals.persisted, report.totals.skipped) == (24, 150_001)


async def test_a_batch_that_can_be_read_is_not_skipped(stack, database_url, topic_prefix) -> None:
    """`offsets skip --batch` refuses a batch whose next record can be read."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    async with working(settings):
        await wait_until(lambda: _settled(settings, 0, 0), budget_seconds=30, describe="the claim")
    await send_unreadable(settings, "good", "bad", "good")

    code, said = await skip(settings, 0, 0, "--batch")
    assert (code, "can be read" in said) == (3, True), said
    assert not await _settled(settings, 0, 1)


async def test_a_verdict_that_cannot_be_read_is_passed_over(stack, database_url, topic_prefix, tmp_path) -> None:
    """The worker with the alert agent logs and counts the unreadable verdict and delivers the one behind it."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    port = str(choose(asked=None, remembered=None, taken=[], purpose="metrics"))
    own = environment_of(settings, BRIDGE_METRICS_PORT=port, BRIDGE_LOG_FORMAT="json")
    log = tmp_path / "log"
    with log.open("wb") as output:
        worker = subprocess.Popen(words("worker"), env=environment(own), stdout=output, stderr=output)
    try:
        await wait_until(lambda: "assigned" in log.read_text(), budget_seconds=60, describe=log.read_text)
        await send_unreadable(settings, "bad", "bad", topic=settings.topics.gate)
        change = await add_change(settings, "total", reasons=["too many"])
        async with AIOKafkaProducer(**settings.kafka_client()) as producer:
            await producer.send_and_wait(settings.topics.gate, change.model_dump_json().encode(), key=b"total")
        await wait_until(lambda: '"too many"' in log.read_text(), budget_seconds=60, describe=log.read_text)
        lines = [json.loads(line) for line in log.read_text().splitlines() if '"verdict_unreadable"' in line]
        assert [line["offset"] for line in lines] == [0, 1]
        assert worker.poll() is None
    finally:
        worker.kill()
        worker.wait(10)
