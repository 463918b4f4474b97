"""Bounds on values that readers cast, follow or add up; older rows beyond them break no command."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from pydantic import SecretStr
from support.events.dead_letters import add_dropped, dropped
from support.infrastructure.accounts import execute
from support.infrastructure.databases import as_admin
from support.processes.command import bridge

from bridge.dev.stack import StackAddresses
from schemas.config.settings import Settings
from schemas.documents.replay import Outcome
from schemas.pipeline.record import Provenance, TopicPartition
from sinks.postgres.audit.drops import drops_by, summed
from sinks.postgres.audit.snapshot import acknowledge_lost, read_snapshot
from sinks.postgres.connection import connection
from sinks.postgres.gate.verdicts import days, window_sums
from sinks.postgres.gate.windows import add_to_windows
from sinks.postgres.ledger.rows import state_of
from sinks.postgres.replay_items.items import read_items
from sinks.postgres.replays.plans import held, outcomes
from sinks.postgres.statements import sql
from sinks.postgres.stats.backlog import read_backlog
from sinks.windows import WindowKey

PLAN = "00000000-0000-4000-8000-000000000001"
PLANNED = (
    f"INSERT INTO replay (replay_id, requested_by, filter, planned, state) VALUES ('{PLAN}', 'x', '{{}}', 1, 'sent')",
    f"INSERT INTO replay_item VALUES ('{PLAN}', 1, 'bridge.raw', 0, 0, 'passes')",
)
MOST = 2**63 - 1
WINDOW = (
    "INSERT INTO gate_window SELECT date_trunc('minute', now()) + interval '{later}', {site}, 't', 0, false,"
    " {count}, {count}, 0, 0, 0, 0, 0, 0, 0"
)
UNBOUNDED = tuple(
    f"ALTER TABLE {name.rpartition('_')[0]} DROP CONSTRAINT {name}"
    for name in (
        "bridge_event_raw_places", "bridge_event_raw_words", "replay_item_places", "gate_window_counts", "replay_counts",
    )
)  # fmt: skip
SINCE = datetime.now(UTC) - timedelta(days=1)
ODD_PLACES = ("x:y:z", "x", "t:99999999999:1", "t:2147483648:1", "t:0:9223372036854775808", "t:0:1:2", ":0:1", "t:-1:1")


@pytest.fixture
def database_url(stack: StackAddresses, database_url: str) -> str:
    """The superuser's URL, which creates the accounts."""
    return as_admin(stack, database_url)


async def refused(url: str, statement: str) -> None:
    """Check that a constraint refuses the row for every account."""
    with pytest.raises(asyncpg.CheckViolationError):
        await execute(url, statement)


async def test_words_have_lengths(database_url: str) -> None:
    """The lengths are bounded for every account: each worker, or each command that lists, reads these rows."""
    run = "INSERT INTO script_run (run_id, script, started_by, started_at) VALUES ('r', 'dlq-plan', 'x', now())"
    brake = "INSERT INTO brake (group_id, engaged, changed_by, reason, details) VALUES ('g', true, 'x', '', '{}')"
    gate = "INSERT INTO gate_state (target, passed, change) VALUES ('total', true, '{}')"
    await execute(database_url, *PLANNED, run, brake, gate, WINDOW.format(later="0 s", site=1, count=1))
    names = {
        "brake": "group_id, changed_by", "gate_state": "target", "replay": "requested_by, ended_by",
        "replay_item": "forecast", "script_run": "run_id, started_by",
    }  # fmt: skip
    bounds = [(relation, name, 1000) for relation, some in names.items() for name in some.split(", ")]
    for relation, name in (
        ("brake", "reason"),
        ("replay", "reason"),
        ("replay", "ended_because"),
        ("replay_item", "skipped"),
    ):
        bounds.append((relation, name, 10_000))
    for relation, name, most in bounds:
        await refused(database_url, f"UPDATE {relation} SET {name} = repeat('x', {most + 1})")
        await execute(database_url, f"UPDATE {relation} SET {name} = repeat('x', {most})")
    for relation, name, most in (
        ("brake", "details", 10**6), ("gate_state", "change", 10**6), ("script_run", "summary", 10**7), ("replay", "filter", 10**8)
    ):  # fmt: skip
        await refused(database_url, f"UPDATE {relation} SET {name} = jsonb_build_object('x', repeat('x', {most}))")
    await refused(database_url, "UPDATE replay_item SET replayed_as = repeat('x', 1000) || ':0:0'")
    for odd in ("", "A", "a b", "a" * 64, "9"):
        await refused(database_url, f"UPDATE script_run SET script = '{odd}'")
    await execute(database_url, "UPDATE script_run SET script = 'of-a-later-release'")


async def test_metrics_tell_of_known_jobs_only(database_url: str) -> None:
    """Other accounts' rows and older rows with long names are no series; an unknown exit code counts as a failure."""
    await execute(
        database_url,
        "ALTER TABLE script_run DROP CONSTRAINT script_run_words",
        "INSERT INTO script_run (run_id, script, started_by, started_at, ended_at, exit_code)"
        " SELECT n::text, CASE WHEN n < 5 THEN 'dlq-plan' ELSE repeat('x', n) END, 'x', now(), now(), CASE WHEN n < 5 THEN 1 - n ELSE 0 END"
        " FROM generate_series(0, 9) AS n",
    )
    runs = (await read_backlog(database_url, "g")).runs
    assert sorted((one.script, one.exit_code, one.recent) for one in runs) == [("dlq-plan", 0, 1), ("dlq-plan", 1, 4)]


async def test_a_place_is_one_that_readers_can_cast(database_url: str) -> None:
    """The largest partition and offset are accepted, and nothing beyond."""
    await add_dropped(database_url, [dropped(0)])
    await execute(database_url, *PLANNED)
    columns = (("bridge_event_raw", "replayed_as"), ("bridge_event_raw", "replay_of"), ("replay_item", "replayed_as"))
    for relation, column in columns:
        for odd in ODD_PLACES:
            await refused(database_url, f"UPDATE {relation} SET {column} = '{odd}'")
        await execute(database_url, f"UPDATE {relation} SET {column} = 't#2:2147483647:{MOST}'")


async def test_a_reason_has_the_form_of_one(database_url: str) -> None:
    """A later release's reason is accepted."""
    await add_dropped(database_url, [dropped(0)])
    for column in ("dropped_reason", "error_class"):
        for odd in ("", "Foo", "a b", "a" * 64, "9", "\u001b[2J"):
            await refused(database_url, f"UPDATE bridge_event_raw SET {column} = '{odd}'")
        await execute(database_url, f"UPDATE bridge_event_raw SET {column} = 'of_a_later_release'")


async def test_counts_have_bounds(database_url: str) -> None:
    """Counts of windows and plans have bounds, negative ones as well."""
    for count in (10**12 + 1, -(10**12) - 1, MOST):
        await refused(database_url, WINDOW.format(later="0 s", site=1, count=count))
    for site, count in enumerate((10**12, -(10**12))):
        await execute(database_url, WINDOW.format(later="0 s", site=site, count=count))
    await execute(database_url, *PLANNED)
    for column in ("planned", "published", "sent_to"):
        for count in (-1, 10**12 + 1):
            await refused(database_url, f"UPDATE replay SET {column} = {count}")


async def test_a_full_window_stops_no_commit(database_url: str) -> None:
    """A window that another account has filled is not counted further, and the others of the commit are."""
    places = {1: 10**12, 2: 10**12 - 1, 3: 5}
    await execute(database_url, *(WINDOW.format(later="0 s", site=site, count=count) for site, count in places.items()))
    async with connection(database_url, "test") as conn:
        minute = await conn.fetchval("SELECT (extract(epoch FROM max(window_start)) / 60)::bigint FROM gate_window")
        await conn.execute("UPDATE gate_window SET window_start = to_timestamp($1::bigint * 60)", minute)
        await add_to_windows(conn, {WindowKey(minute, site, "t", 0, False): [1, *[0] * 6] for site in (1, 2, 3, 4)})
        rows = await conn.fetch("SELECT site_id, processed, normalized FROM gate_window ORDER BY site_id")
    counted = {1: 10**12, 2: 10**12, 3: 6, 4: 1}
    assert [tuple(row) for row in rows] == [(site, count, count) for site, count in counted.items()]


@pytest.mark.parametrize("place", ODD_PLACES)
async def test_a_row_that_names_no_place_breaks_no_figure(database_url: str, place: str) -> None:
    """The outcome of such a row is unknown and not a success."""
    await add_dropped(database_url, [dropped(0, disposition="replayed", replay_id=PLAN)])
    await execute(
        database_url,
        *UNBOUNDED,
        *PLANNED,
        f"UPDATE bridge_event_raw SET replayed_as = '{place}', replay_of = '{place}'",
    )
    async with connection(database_url, "test") as conn:
        assert [one.outcome for one in await outcomes(conn, PLAN)] == [Outcome.UNSETTLED]
        (item,) = await read_items(conn, PLAN, 0, 1, max_lives=5)
        assert item.lives == 1
        assert state_of(await conn.fetchrow("SELECT * FROM bridge_event_raw")).replay_of is None
    await execute(database_url, "UPDATE bridge_event_raw SET replay_of = NULL")
    assert summed((await drops_by(database_url, "day", SINCE)).values()).became == {"replaying": 1}


async def test_dead_letters_that_replay_each_other_are_followed_to_an_end(database_url: str) -> None:
    """A cycle of replays ends, and each dead letter counts once."""
    await add_dropped(
        database_url,
        [
            dropped(one, disposition="replayed", replayed_as=f"bridge.raw:0:{after}")
            for one, after in ((0, 0), (1, 2), (2, 1))
        ],
    )
    # As a plan whose item was claimed again by force.
    await execute(database_url, *PLANNED, "UPDATE replay_item SET replayed_as = 'bridge.raw:0:0'")
    async with asyncio.timeout(15):
        found = summed((await drops_by(database_url, "site", SINCE)).values())
    assert (found.became, found.events) == ({"replaying": 3}, 3)


async def test_the_longest_chain_of_replays_is_followed_to_its_end(database_url: str) -> None:
    """A chain is followed to its end if it is as long as the highest `replay_max_lives`."""
    lives = [
        dropped(
            number,
            disposition="replayed" if number < 99 else "open",
            replay_of=f"bridge.raw:0:{number - 1}" if number else None,
            replayed_as=f"bridge.raw:0:{number + 1}",
        )
        for number in range(100)
    ]
    await add_dropped(database_url, lives)
    found = summed((await drops_by(database_url, "site", SINCE)).values())
    assert found.became == {"open": 1, "replay": 99}


@pytest.mark.parametrize("of", ["NULL", "'bridge.raw:0:' || (n + 299) % 300"])
async def test_each_dead_letter_is_followed_once(database_url: str, of: str) -> None:
    """Replays that form a cycle, by their successors alone or by both links, cost no more than their number."""
    forged = (
        "INSERT INTO bridge_event_raw (raw_topic, raw_partition, raw_offset, record_time, received_at, first_failed_at,"
        " last_error, error_class, normalized, dropped_reason, disposition, replayed_as, replay_of) SELECT 'bridge.raw', 0, n,"
        f" now(), now(), now(), 'x', 'x', true, 'x', 'replayed', 'bridge.raw:0:' || (n + 1) % 300, {of}"
        " FROM generate_series(0, 299) AS n"
    )
    await execute(database_url, forged)
    # Three events whose replays are the same row.
    await add_dropped(
        database_url,
        [dropped(one, disposition="replayed", replayed_as="bridge.raw:0:0") for one in (300, 301, 302)],
    )
    async with asyncio.timeout(15), connection(database_url, "test") as conn:
        told = await conn.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql('drops_became')}", None, None, None)
    assert 0 < rows_of(json.loads(told)[0]["Plan"], "CTE life") <= 2 * 303


def rows_of(node: dict[str, Any], name: str) -> int:
    """The number of rows that the part of this name had in an executed plan."""
    if node.get("Subplan Name") == name:
        return int(node["Actual Rows"])
    return max((rows_of(one, name) for one in node.get("Plans", ())), default=0)


async def test_a_reason_of_a_later_release_is_shown(database_url: str) -> None:
    """An unknown reason is shown beside the known ones."""
    await add_dropped(database_url, [dropped(0), dropped(1, dropped_reason="of_a_later_release")])
    settings = {"BRIDGE_DATABASE_URL": database_url}
    told = await asyncio.to_thread(bridge, "kpi", settings=settings)
    assert b"does not know: of_a_later_release: 1\n" in told.stdout, told.stderr
    total: dict[str, Any] = json.loads(bridge("kpi", "--json-output", "-", settings=settings).stdout)["total"]
    assert (total["dropped"], total["schema_violation"], total["other_reasons"]) == (2, 1, {"of_a_later_release": 1})


async def test_sums_out_of_range_stop_at_their_bound(database_url: str) -> None:
    """Sums of windows, offsets and plans are capped; the gate still judges."""
    await execute(
        database_url,
        *UNBOUNDED,
        *PLANNED,
        *(WINDOW.format(later="0 s", site=site, count=MOST) for site in (1, 2)),
        *(
            "INSERT INTO stream_offset (group_id, topic, partition, base_offset, next_offset, live, lost, lost_acknowledged)"
            f" VALUES ('{group}', 't', 0, 0, {MOST}, {MOST}, {MOST}, -{MOST})"
            for group in ("a", "b")
        ),
        "INSERT INTO org (org_id) VALUES (7)",
        PLANNED[0].replace("1'", "2'", 1),
        f"UPDATE replay SET planned = {MOST}, state = 'stopped', org_id = 7",
    )
    assert [one.processed for one in await window_sums(database_url, 300)] == [MOST] * 3
    assert [one.normalized for one in await days(database_url, 2, None)] == [MOST]
    async with connection(database_url, "test") as conn:
        assert (await held(conn, 7)).items == MOST
        assert await conn.fetchval(sql("backlog_state")) == MOST
        assert (await conn.fetchrow(sql("backlog_replays")))["planned"] == MOST
    snapshot = await read_snapshot(Settings(database_url=SecretStr(database_url)), deep=True)
    assert [one.normalized for one in snapshot.windows.values()] == [MOST]
    assert [(one.read, one.live) for one in snapshot.offsets.values()] == [(MOST, MOST)]


async def test_numbers_at_their_bound_stop_no_command(database_url: str) -> None:
    """The audit, an acknowledgement, a claim of partitions and a replay's progress do not overflow."""
    await execute(
        database_url,
        "INSERT INTO bridge_event_raw (raw_topic, raw_partition, raw_offset, record_time, received_at, retry_count,"
        f" first_failed_at, last_error, error_class, normalized) VALUES ('t', 0, 1, now(), now(), {2**31 - 1}, now(), 'x', 'x', true)",
        "INSERT INTO bridge_event (received_at, occurred_at, site_id, script_id, event_id, event_type, properties,"
        f" schema_version, raw_topic, raw_partition, raw_offset, attempt) SELECT now(), now(), 1, 's', 'x', 'x', '{{}}', 2, 't', 0,"
        f" raw_offset, {2**31 - 1} FROM bridge_event_raw",
        *(
            "INSERT INTO stream_offset (group_id, topic, partition, base_offset, next_offset, epoch, normalized, lost, lost_acknowledged)"
            f" VALUES ('g', '{topic}', 0, 0, {MOST}, {MOST}, {MOST}, {MOST}, -1)"
            for topic in ("t", "t#2")
        ),
        *PLANNED,
        f"UPDATE replay SET published = {10**12}",
    )
    settings = Settings(database_url=SecretStr(database_url))
    (ledger,) = ((await read_snapshot(settings, deep=True)).ledgers or {}).values()
    assert (ledger.retried, ledger.other_attempt) == (2**31 - 1, 1)
    assert await acknowledge_lost(settings, TopicPartition("t", 0)) == MOST
    assert await acknowledge_lost(settings, TopicPartition("t", 0)) == 0
    async with connection(database_url, "test") as conn:
        counts = await conn.fetchrow(sql("demo_counts"), "g", "t", SINCE)
        assert (counts["read"], counts["normalized"]) == (MOST, MOST)
        claimed = await conn.fetch(sql("offsets_claim"), "g", ["t", "u"], [0, 0], [0, 0], "w", None)
        assert [row["next_offset"] for row in claimed] == [MOST, 0]
        await conn.execute(sql("replay_sent"), PLAN, 1, 1)
        assert await conn.fetchval("SELECT sent_to FROM replay") == 1


async def test_counts_at_their_bound_stop_no_partition(database_url: str) -> None:
    """A commit, a loss and a skip move the offset all the same; the audit shows the difference."""
    names = "live, normalized, retried, dropped, stale, skipped, lost"
    await execute(
        database_url,
        f"INSERT INTO stream_offset (group_id, topic, partition, base_offset, next_offset, {names})"
        f" SELECT 'g', 't', 0, 0, 0, {', '.join([str(MOST)] * 7)}",
    )
    async with connection(database_url, "test") as conn:
        row = ["t", 0, 5, *[1] * 6, None, None, None]
        await conn.execute(sql("offsets_advance"), "g", *([one] for one in row))
        await conn.execute(sql("offsets_lose"), "g", "t", 0, 7)
        await conn.execute(sql("offsets_skip"), "g", "t", 0, 7, 9)
        assert tuple(await conn.fetchrow(f"SELECT next_offset, {names} FROM stream_offset")) == (9, *[MOST] * 7)


async def test_a_window_that_has_not_begun_counts_for_nothing(database_url: str) -> None:
    """A window of the future doesn't count, beyond an hour for differing clocks."""
    for later, count in (("0 s", 1), ("59 min", 10), ("61 min", 100), ("40 d", 1000)):
        await execute(database_url, WINDOW.format(later=later, site=1, count=count))
    assert {one.processed for one in await window_sums(database_url, 300)} == {11}
    assert sum(one.normalized for one in await days(database_url, 2, None)) == 11
    async with connection(database_url, "test") as conn:
        assert await conn.fetchval("SELECT processed FROM gate_verdict WHERE site_id IS NULL") == 11
        assert await conn.fetchval("SELECT normalized FROM kpi_7d") == 11


@pytest.mark.parametrize(
    "details",
    ['{"a": 1}', '{"sites": [1]}', '{"topic": [], "partition": {}}', '{"errors": 5}', '{"errors": [1]}', "[1]"],
)
async def test_the_brake_is_shown_whatever_is_written_beside_it(stack, database_url: str, details: str) -> None:  # type: ignore[no-untyped-def]  # the stack's own
    """Account, reason and time are shown; unreadable details are shown as they are."""
    await execute(
        database_url,
        "ALTER TABLE brake DROP CONSTRAINT brake_details",
        "INSERT INTO brake (group_id, engaged, by_hand, changed_by, reason, details)"
        f" VALUES ('ghostlink-bridge', true, true, 'ops', 'so it is', '{details}')",
    )
    settings = {"BRIDGE_DATABASE_URL": database_url, "BRIDGE_KAFKA_BOOTSTRAP_SERVERS": stack.kafka}
    told = await asyncio.to_thread(bridge, "breaker", "status", settings=settings)
    assert (told.returncode, b"Traceback" in told.stderr) == (1, False)
    assert b"ops" in told.stdout
    assert b"so it is" in told.stdout
    assert details.replace(" ", "").strip("[]").encode() in told.stdout.replace(b" ", b"")


def test_places_are_read_as_the_ledger_writes_them() -> None:
    """The bounds of Provenance.parse are those of the migration."""
    for odd in ODD_PLACES:
        with pytest.raises(ValueError, match="provenance"):
            Provenance.parse(odd)
    assert Provenance.parse(f"t#2:2147483647:{MOST}").offset == MOST


async def test_the_texts_of_an_event_are_stored_as_they_are(database_url: str) -> None:
    """In every partition: to compress a text of a few different characters takes ten times as long as to store it."""
    async with connection(database_url, "test") as conn:
        rows = await conn.fetch(
            "SELECT DISTINCT c.relkind, a.attstorage FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid "
            "WHERE c.relname ~ '^bridge_event(_[0-9_]+)?$' AND c.relkind IN ('r', 'p') AND a.atttypid = 'text'::regtype"
        )
    assert sorted(map(tuple, rows)) == [(b"p", b"e"), (b"r", b"e")]
