"""No account can write what readers can't read; older rows in another form break no listing."""

import asyncpg
import pytest
from pydantic import SecretStr
from support.events.verdicts import add_change
from support.infrastructure.accounts import account, execute
from support.infrastructure.databases import as_admin

from bridge.dev.stack import StackAddresses
from schemas.config.service import Service
from schemas.config.settings import Settings
from schemas.documents.dead_letter_filter import DeadLetterFilter
from schemas.documents.gate import WindowLimits
from schemas.errors import SinkUnavailable
from schemas.pipeline.record import Provenance
from sinks.postgres.breaker.state import breaker_state
from sinks.postgres.connection import connection
from sinks.postgres.dead_letters.lives import show
from sinks.postgres.dead_letters.pages import Place, page
from sinks.postgres.gate.verdicts import judge
from sinks.postgres.kept_json import UNREADABLE
from sinks.postgres.ledger.rows import body, state_of
from sinks.postgres.replays.plans import find_plan, list_plans
from sinks.postgres.runs.history import list_runs, show_run
from sinks.postgres.schema.check import expected_catalogue
from sinks.postgres.schema.migrate import migrate
from sinks.postgres.schema.privileges import needed_privileges
from sinks.postgres.tokens.api_tokens import list_api_tokens
from streams.rules.gate import window_rule

PLAN = "00000000-0000-4000-8000-000000000001"
PLANNED = (
    "INSERT INTO replay (replay_id, requested_by, filter, corrections, report, planned, state, created_at, updated_at)"
    " VALUES ('{plan}', 'x', '{filter}', '{corrections}', '{report}', 0, 'planned', '{at}', '{at}')"
)
RUN = "INSERT INTO script_run (run_id, script, started_by, started_at, ended_at, summary) VALUES ('{run}', 'x', 'x', '{at}', '{at}', '{summary}')"
DROPPED = (
    "INSERT INTO bridge_event_raw (raw_topic, raw_partition, raw_offset, record_time, received_at, first_failed_at, last_error,"
    " error_class, normalized, dropped_reason, disposition, outcome_at)"
    " VALUES ('t', 0, 0, now(), now(), now(), '', 'x', true, 'schema_violation', 'open', '{at}')"
)
DEEP = '{"a":' + "[" * 120 + "]" * 120 + "}"
FORMS = {
    "plan": PLAN,
    "filter": "{}",
    "corrections": "[]",
    "report": "{}",
    "at": "now",
    "run": "run_1",
    "summary": "{}",
}


@pytest.fixture
def database_url(stack: StackAddresses, database_url: str) -> str:
    """The superuser's URL, which creates the accounts."""
    return as_admin(stack, database_url)


@pytest.mark.parametrize("at", ["294276-01-01", "10000-01-01 00:00+00", "0001-12-31 BC", "infinity", "-infinity"])
@pytest.mark.parametrize(
    ("service", "statement"),
    [(Service.API, PLANNED), (Service.API, RUN), (Service.WORKER, RUN), (Service.WORKER, DROPPED)],
)
async def test_no_account_writes_a_time_that_no_client_reads(
    database_url: str, service: Service, statement: str, at: str
) -> None:
    """Postgres accepts times beyond those of Python and other clients."""
    with account(database_url, service) as url:
        with pytest.raises(asyncpg.CheckViolationError):
            await execute(url, statement.format(**FORMS | {"at": at}))
        for last in ("0001-01-01 00:00+00", "9999-12-31 23:59:59.999999+00"):
            await execute(url, statement.format(**FORMS | {"at": last, "run": last, "plan": PLAN}))
            await execute(database_url, "DELETE FROM bridge_event_raw", "DELETE FROM replay")
    await list_runs(database_url, None, 10)


PLACED = {
    "bridge_event_raw": (DROPPED.format(at="now"), "raw_topic", "raw_partition, raw_offset"),
    "bridge_event_superseded": (
        "INSERT INTO bridge_event_superseded VALUES (1, 'e', 't', 0, 0)", "raw_topic", "raw_partition, raw_offset",
    ),
    "gate_window": (
        "INSERT INTO gate_window SELECT now(), 1, 't', 0, false, 0, 0, 0, 0, 0, 0, 0, 0, 0", "topic", "partition",
    ),
    "replay_item": (
        f"INSERT INTO replay_item VALUES ('{PLAN}', 1, 't', 0, 0, 'passes')", "raw_topic", "raw_partition, raw_offset",
    ),
    "stream_offset": (
        "INSERT INTO stream_offset (group_id, topic, partition, base_offset, next_offset) VALUES ('g', 't', 0, 0, 1)",
        "topic", "partition, base_offset",
    ),
}  # fmt: skip
LONGEST = "x" * 249
LAST = (f"{LONGEST}#999999999", 2**31 - 1, 2**63 - 1)


@pytest.mark.parametrize("relation", PLACED)
async def test_no_account_writes_a_place_that_kafka_can_not_have(database_url: str, relation: str) -> None:
    """Neither a negative partition or offset, nor a longer name of a topic. An old row with a place can be changed."""
    statement, topic, numbers = PLACED[relation]
    await execute(database_url, PLANNED.format(**FORMS), statement)
    for odd in (
        *(f"{name} = -1" for name in numbers.split(", ")),
        f"{topic} = '{LONGEST}x'",
        f"{topic} = '{LONGEST}x#2'",
    ):
        with pytest.raises(asyncpg.CheckViolationError, match="_in_kafka"):
            await execute(database_url, f"UPDATE {relation} SET {odd}")
    await execute(database_url, f"UPDATE {relation} SET {topic} = '{LAST[0]}'")


async def test_pages_go_on_after_each_row_that_an_account_writes(database_url: str) -> None:
    """Also after the last place of all."""
    with account(database_url, Service.WORKER) as url:
        for place in ("'t', 0, 0", "'bridge.raw', 0, 1", "'{}', {}, {}".format(*LAST)):
            await execute(url, DROPPED.format(at="now").replace("'t', 0, 0", place))
        for place in ("'t', 0, -1", "'t', -1, 0", f"'{LONGEST}x', 0, 0"):
            with pytest.raises(asyncpg.CheckViolationError):
                await execute(url, DROPPED.format(at="now").replace("'t', 0, 0", place))
    chosen, after, found = DeadLetterFilter(), None, []
    while True:
        one = await page(database_url, chosen, limit=1, after=after)
        found += [line.provenance for line in one.lines]
        if one.following is None:
            break
        after = Place.parse(str(one.following))
    assert sorted(found) == sorted([("t", 0, 0), ("bridge.raw", 0, 1), LAST])


@pytest.mark.parametrize(
    ("statement", "odd"),
    [
        *((RUN, {"summary": text}) for text in ("[1]", '"s"', "null", DEEP)),
        *((PLANNED, {name: text}) for name in ("filter", "report") for text in ("[]", "5", DEEP)),
        *((PLANNED, {"corrections": text}) for text in ("{}", "null", f"[{DEEP}]")),
    ],
)
async def test_no_account_writes_json_of_another_form(database_url: str, statement: str, odd: dict[str, str]) -> None:
    """JSON nested deeper than readers recurse is refused too."""
    with account(database_url, Service.API) as url, pytest.raises(asyncpg.CheckViolationError):
        await execute(url, statement.format(**FORMS | odd))


def test_each_time_that_a_service_writes_is_bounded() -> None:
    """Every time that a service writes has a constraint, so a table without one fails this test."""
    catalogue = expected_catalogue()
    written = {
        one.relation
        for service in Service
        if service is not Service.OWNER
        for one in needed_privileges(catalogue, service)
        if one.name != "SELECT"
    }
    unbounded = [
        column
        for relation in written
        for name, kind in catalogue[relation].items()
        if name.startswith("column ") and kind.startswith("timestamp with time zone")
        for column in [name.removeprefix("column ")]
        if f"{column.partition('.')[2]} >= '0001-01-01"
        not in catalogue[relation].get(f"check {relation}.{relation}_times", "")
    ]
    assert len(written) > 10
    assert unbounded == []


async def test_rows_of_another_form_from_before_break_no_listing(database_url: str) -> None:
    """Unreadable values are shown as they are, beside the other rows."""
    numbers = '{"count": ' + "9" * 5000 + "}"
    drop = [f"ALTER TABLE {one} DROP CONSTRAINT {one}_{name}" for one, name in (
        ("script_run", "summary"), ("replay", "filter"), ("replay", "corrections"), ("replay", "report"), ("brake", "details"),
    )]  # fmt: skip
    await execute(
        database_url,
        *drop,
        RUN.format(**FORMS),
        *(
            RUN.format(**FORMS | {"run": f"odd_{number}", "summary": text})
            for number, text in enumerate(["[1]", DEEP, numbers])
        ),
        PLANNED.format(**FORMS | {"filter": "5", "corrections": '{"a": 1}', "report": "[]"}),
        "INSERT INTO brake (group_id, engaged, by_hand, changed_by, reason, details) VALUES ('g', true, true, 'x', 'x', '[1]')",
    )
    assert len(await list_runs(database_url, None, 10)) == 4
    assert (await show_run(database_url, "odd_0")).summary == {UNREADABLE: "[1]"}
    assert UNREADABLE in ((await show_run(database_url, "odd_2")).summary or {})
    assert (await breaker_state(database_url, "g")).details == {UNREADABLE: "[1]"}
    assert len(await list_plans(database_url, 10)) == 1
    async with connection(database_url, "test") as conn:
        found = await find_plan(conn, PLAN)
    assert (found.filter, found.corrections, found.report) == (
        {UNREADABLE: "5"}, [{UNREADABLE: '{"a": 1}'}], {UNREADABLE: "[]"},
    )  # fmt: skip


async def test_a_change_of_verdict_that_no_judge_wrote_keeps_no_other_from_being_told(database_url: str) -> None:
    """A worker's account may write any object as a change; others are still sent."""
    settings = Settings(database_url=SecretStr(database_url))
    with account(database_url, Service.WORKER) as url:
        for number, odd in enumerate(("{}", '{"target": 1}', '{"reasons": 1}')):
            await execute(
                url, f"INSERT INTO gate_state (target, passed, change) VALUES ('site:{number}', true, '{odd}')"
            )
    await add_change(settings, "total", reasons=["too many"])
    await execute(database_url, "UPDATE gate_state SET published = false")
    assert isinstance(settings.gate_limits, WindowLimits)
    assert [one.target for one in await judge(database_url, 300, window_rule(settings.gate_limits))] == ["total"]


async def test_a_row_of_no_ledgers_form_is_read(database_url: str) -> None:
    """Invalid headers and sender classes of a worker's account are read."""
    with account(database_url, Service.WORKER) as url:
        await execute(url, DROPPED.format(at="now"))
    await execute(
        database_url,
        "ALTER TABLE bridge_event_raw DROP CONSTRAINT bridge_event_raw_places",
        "UPDATE bridge_event_raw SET sender = 'nobody', headers = '[1]', replay_of = 'x', replayed_as = 'y'",
    )
    conn = await asyncpg.connect(database_url)
    row = await conn.fetchrow("SELECT * FROM bridge_event_raw")
    await conn.close()
    assert state_of(row).sender is None
    assert body(row).headers == [(UNREADABLE, b"[1]")]
    shown = await show(database_url, Provenance("t", 0, 0))
    assert shown is not None
    assert len(shown.lives) == 1


async def test_no_account_notes_a_use_of_a_token_that_no_client_reads(database_url: str) -> None:
    """A use of a token must have a time that clients can read; the API's account may record one for every token."""
    await execute(
        database_url,
        "INSERT INTO api_token (key_id, name, digest, role, created_by) VALUES ('k', 'n', sha256(''), 'viewer', 'x')",
    )
    with account(database_url, Service.API) as url, pytest.raises(asyncpg.CheckViolationError):
        await execute(url, "INSERT INTO api_token_use VALUES ('k', '294276-01-01')")
    assert [one.name for one in await list_api_tokens(database_url)] == ["n"]


async def test_rows_from_before_keep_no_migration(database_url: str) -> None:
    """Constraints apply to new rows; older rows stay until the owner removes them."""
    drop = [
        f"ALTER TABLE {relation} DROP CONSTRAINT {name.partition('.')[2]}"
        for relation, of in expected_catalogue().items()
        for name in of
        if name.startswith("check ")
        and name.endswith(("_times", "brake_details", "_change", "_summary", "_filter", "_corrections", "_report"))
    ]
    removed = (*drop, "DELETE FROM schema_migration WHERE version = 23")
    await execute(database_url, *removed, RUN.format(**FORMS | {"at": "294276-01-01", "summary": "[1]"}))
    await migrate(database_url)
    with pytest.raises(SinkUnavailable, match="a row from before migration 0023"):
        await list_runs(database_url, None, 10)
    with pytest.raises(asyncpg.CheckViolationError):
        await execute(database_url, RUN.format(**FORMS | {"run": "run_2", "at": "infinity"}))


async def test_what_runs_by_its_owners_rights_is_open_to_no_other_account(database_url: str) -> None:
    """An account without grants can execute none of these functions; a worker of the previous release keeps its own."""
    definers = "SELECT oid FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace"
    allowed = f"SELECT count(*) FROM ({definers}) AS f WHERE has_function_privilege(oid, 'EXECUTE')"
    formerly = "SELECT has_function_privilege('end_lock_holders(int)', 'EXECUTE'), has_function_privilege('keep_passing(uuid)', 'EXECUTE')"
    may = {Service.WORKER: (True, False), Service.API: (False, True)}
    for service in (None, *(one for one in Service if one is not Service.OWNER)):
        with account(database_url, service) as url:
            conn = await asyncpg.connect(url)
            try:
                if service not in may:
                    assert await conn.fetchval(allowed) == 0, service
                else:
                    assert tuple(await conn.fetchrow(formerly)) == may[service]
            finally:
                await conn.close()
