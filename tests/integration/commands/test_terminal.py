"""No stored text controls the terminal of its reader: every command, over a database of hostile texts."""

import asyncio
import json
import os
import pty
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest
from support.events.dead_letters import add_dropped, dropped
from support.events.settled import environment_of, prepare, settings_for
from support.processes.command import bridge, bridge_text, words
from support.processes.programs import CHECKOUT, environment

from bridge.dev.stack import StackAddresses
from schemas.config.settings import Settings

ESCAPES: Final = (
    "\x1b[31m",
    "\x07",
    "\x9b2J",
    "\x1b]8;;http://x\x07",
    "\x1b]52;c;eA==\x07",
    "\u202e",
    "\x7f",
    "\u2028",
)
HOSTILE: Final = "".join(ESCAPES) + "\rSPOOFED\nSPOOFED [bold]x[/bold] :smile:"
PLAN: Final = "00000000-0000-4000-8000-00000000000a"
# Names by which rows are found and joined, and words of a fixed list, which the code itself writes.
WORDS: Final = {
    "topic", "raw_topic", "group_id", "key_id", "run_id", "state", "disposition", "dropped_reason", "error_class", "role",
    "forecast", "replayed_as", "replay_of",
}  # fmt: skip
COMMANDS: Final = {
    "dead letters": (
        "dlq groups", "dlq list", "dlq show bridge.raw:0:0", "dlq show bridge.raw:0:1", "dlq export --format ndjson",
        "dlq discard --all --dry-run --reason r",
    ),
    "replays": (
        "dlq plan --all --dry-run", "dlq plan --site-id 1 --set currency=EUR --reason r --dry-run", "dlq plans",
        f"dlq status {PLAN}", f"dlq replay {PLAN} --dry-run", f"dlq replay {PLAN} --wait 0s", f"dlq cancel {PLAN} --reason r",
    ),
    "registry": (
        "runs list", "runs show hostile", "script list", "script history", "script history s1", "script token list s1", "api token list", "db status", "db check",
        "topics check",
    ),
    "stream": (
        "offsets show", "breaker status", "breaker release --reason r", "gate show", "gate check", "kpi", "audit", "doctor",
        "top --once --interval 200ms", "process --dry-run --json-output -",
    ),
}  # fmt: skip
WITHOUT_JSON: Final = ("runs show", "db check", "topics check", "dlq export", "process")


async def spoil(connection: asyncpg.Connection) -> set[str]:
    """Append hostile text to every stored text whose constraints allow it, and return the columns."""
    columns = await connection.fetch(
        "SELECT c.table_name, c.column_name, c.data_type FROM information_schema.columns AS c "
        "JOIN information_schema.tables AS t USING (table_schema, table_name) "
        "WHERE table_schema = 'public' AND t.table_type = 'BASE TABLE' AND c.data_type IN ('text', 'jsonb', 'ARRAY')"
    )
    spoilt = set()
    for table, column, kind in columns:
        if column in WORDS or table == "schema_migration":
            continue
        try:
            if kind == "jsonb":
                await spoil_json(connection, table, column)
            else:
                more = "ARRAY[$1::text]" if kind == "ARRAY" else "$1::text"
                await connection.execute(f'UPDATE "{table}" SET "{column}" = "{column}" || {more}', HOSTILE)
        except asyncpg.IntegrityConstraintViolationError:
            continue
        spoilt.add(f"{table}.{column}")
    return spoilt


async def spoil_json(connection: asyncpg.Connection, table: str, column: str) -> None:
    for row in await connection.fetch(f'SELECT ctid, "{column}" FROM "{table}" WHERE "{column}" IS NOT NULL'):
        text = json.dumps(hostile_within(json.loads(row[1])))
        await connection.execute(f'UPDATE "{table}" SET "{column}" = $1::jsonb WHERE ctid = $2', text, row[0])


def hostile_within(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: hostile_within(one) for name, one in value.items()}
    if isinstance(value, list):
        return [hostile_within(one) for one in value]
    return value + HOSTILE if isinstance(value, str) else value


ROWS: Final = """
INSERT INTO replay (replay_id, requested_by, reason, filter, corrections, report, planned, state, ended_by, ended_because)
VALUES ('00000000-0000-4000-8000-00000000000a', 'by', 'why', '{"text": "t"}', '[{"op": "add", "path": "/currency", "value": "EUR"}]',
        '{"items": 1, "failures": {"f\\n\\u009b": 1}, "refusals": {"r\\u202e": 1}, "by_reason": {"d\\r": 1}, "by_site": {"1": 1},
          "examples": [{"provenance": "p", "why": "w"}], "samples": [{"provenance": "p", "diff": ["+ x"]}],
          "replaced": [{"field": "f", "value": "v", "new": "n", "site_id": 1, "org_id": 1, "items": 1}], "warnings": ["w"]}',
        2, 'stopped', 'by', 'because');
INSERT INTO replay_item (replay_id, position, raw_topic, raw_partition, raw_offset, forecast, skipped)
SELECT '00000000-0000-4000-8000-00000000000a', raw_offset + 1, raw_topic, raw_partition, raw_offset, 'passes',
       CASE WHEN raw_offset = 1 THEN 'skipped' END
FROM bridge_event_raw;
INSERT INTO script_run (run_id, script, started_by, started_at, ended_at, exit_code, summary)
VALUES ('hostile', 'job', 'by', now(), now(), 1, '{"reason": "why", "processed_total": "1", "errors": [{"target": "t", "reason": "r"}]}');
INSERT INTO script_token (key_id, script_id, digest, note, created_by, revoked_at, revoked_by)
SELECT n, 's1', sha256(n::bytea), 'note', 'by', CASE WHEN n = 'b' THEN now() END, CASE WHEN n = 'b' THEN 'by' END
FROM unnest(ARRAY['a', 'b']) AS n;
INSERT INTO api_token (key_id, name, digest, role, created_by) VALUES ('k', 'name', sha256('k'), 'viewer', 'by');
"""
PLACES: Final = """
INSERT INTO brake (group_id, engaged, changed_by, reason, details)
VALUES ($1, true, 'by', 'why', '{"topic": "t", "partition": "0", "offset": "1", "error_class": "c", "error": "e", "sites": {"1": "n"},
                                 "sites_total": "1"}');
"""
OFFSETS: Final = """
INSERT INTO stream_offset (group_id, topic, partition, base_offset, next_offset, worker, held) VALUES ($1, $2, 0, 0, 0, 'w', 'why')
"""


@pytest.fixture
async def hostile(stack: StackAddresses, database_url: str, topic_prefix: str) -> Settings:
    """A database in which every text from outside is hostile."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    headers = json.dumps([[f"h{HOSTILE}", "djE="]]).encode()
    body = json.dumps({"event_id": HOSTILE, "site_id": 1, "script_id": "s1", "x": HOSTILE}, ensure_ascii=False).encode()
    rows = [
        dropped(0, payload=body, key=HOSTILE.encode(), headers=headers),
        dropped(1, payload=HOSTILE.encode()),
        dropped(2),
    ]
    await add_dropped(settings.dsn, rows)
    connection = await asyncpg.connect(settings.dsn)
    try:
        await connection.execute(ROWS)
        await connection.execute(PLACES, settings.group)
        await connection.execute(OFFSETS, settings.group, settings.topics.raw)
        spoilt = await spoil(connection)
    finally:
        await connection.close()
    assert spoilt >= {
        "replay.reason", "replay.requested_by", "replay.filter", "replay.report", "replay.ended_by", "script_run.summary",
        "script_run.started_by", "script_token.note", "script_token.revoked_by", "api_token.created_by",
        "brake.reason", "brake.details", "stream_offset.worker", "stream_offset.held", "bridge_event_raw.last_error",
        "bridge_event_raw.script_id", "bridge_event_raw.event_id", "script.origins", "replay_item.skipped",
        "registry_change.name", "registry_change.changed_by", "registry_change.reason", "registry_change.old", "registry_change.new",
    }  # fmt: skip
    return settings


def assert_harmless(command: str, said: str) -> None:
    """Check that all lines have printable characters only and that none begins with a stored text."""
    for line in said.split("\n"):
        assert line.isprintable(), (command, ascii(line))
        assert not line.startswith("SPOOFED"), (command, line)


@pytest.mark.parametrize("group", COMMANDS)
async def test_no_stored_text_controls_the_terminal(hostile: Settings, group: str) -> None:
    """Tables, lines, errors and JSON of every command show control characters escaped."""
    variables = environment_of(hostile)
    seen = ""
    for command in COMMANDS[group]:
        forms = [""] if command.startswith(WITHOUT_JSON) else ["", " --json-output -"]
        for form in forms:
            given = command + form
            done = await bridge_text(*given.split(), settings=variables)
            assert_harmless(given, done.stdout)
            assert_harmless(given, done.stderr)
            assert not {"Traceback", "error:"} & set(done.stderr.split()), (given, done.stderr)
            seen += done.stdout
    assert seen.count("\\x9b2J") > 4
    assert seen.count("\\u009b2J") > 4
    assert ":smile:" in seen


async def test_csv_on_a_terminal_is_written_out(hostile: Settings) -> None:
    """A pipe receives the original bytes, a terminal escaped ones."""
    variables = environment_of(hostile, TERM="dumb")
    piped = await asyncio.to_thread(bridge, "dlq", "export", "--format", "csv", settings=variables)
    assert "\x1b]52;c;eA==\x07" in piped.stdout.decode()
    shown = await asyncio.to_thread(on_a_terminal, ("dlq", "export", "--format", "csv"), variables)
    assert_harmless("export", shown.replace("\r", ""))
    assert "\\x9b2J" in shown


def on_a_terminal(command: tuple[str, ...], variables: dict[str, str]) -> str:
    """The command's output on a terminal of its own."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        words(*command),
        env=environment(variables),
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    said = b""
    try:
        # Reading fails once the terminal's other end is closed.
        while read := os.read(ours, 65536):
            said += read
    except OSError:
        pass
    finally:
        os.close(ours)
        process.wait(60)
    return said.decode()


async def test_what_is_typed_is_written_out_or_refused(hostile: Settings, tmp_path: Path) -> None:
    """Errors show arguments escaped, and a reason with a control character is refused before anything is done."""
    variables = environment_of(hostile)
    bad = "x\x1b[31m\x9b\ny"
    for given in (
        ("dlq", "show", bad), ("dlq", "list", "--after", bad), ("dlq", "status", bad), ("runs", "show", bad), (bad,),
        ("dlq", "list", "--text", bad, "--json-output", f"/nowhere/{bad}"), ("audit", "--acknowledge-lost", bad),
        ("script", "add", bad, "--site-id", "1"), ("dlq", "export", "--output", f"/nowhere/{bad}"),
    ):  # fmt: skip
        done = await bridge_text(*given, settings=variables)
        assert done.returncode == 3, (given, done.stderr)
        assert_harmless(str(given), done.stdout + done.stderr)
    for command in (
        "dlq discard --all --yes", f"dlq cancel {PLAN}", "dlq plan --site-id 1", "breaker release", "breaker engage",
        "offsets skip bridge.raw:0 --offset 1", "topics adopt bridge.raw",
    ):  # fmt: skip
        done = await bridge_text(*command.split(), "--reason", bad, settings=variables)
        assert (done.returncode, "--reason: contains the control character U+001B" in done.stderr) == (3, True), command


@pytest.mark.parametrize("more", [(), ("--verbose",)])
async def test_a_terminal_shows_an_answer_and_not_the_log_of_its_run(
    stack: StackAddresses, database_url: str, topic_prefix: str, more: tuple[str, ...]
) -> None:
    """On a terminal one line names the recorded run; --verbose or a pipe shows its log."""
    settings = settings_for(stack.kafka, database_url, topic_prefix)
    await prepare(settings)
    variables = environment_of(settings, TERM="dumb")
    command = ("breaker", "engage", "--reason", "r", *more)
    said = await asyncio.to_thread(on_a_terminal, command, variables)
    assert ("run_started" in said, "run_ended" in said, "target_done" in said) == (bool(more),) * 3
    named = [line for line in said.splitlines() if re.fullmatch(r"run \d{8}T\d{6}Z-[0-9a-f]{4}", line)]
    assert len(named) == (0 if more else 1)
    piped = await asyncio.to_thread(bridge, "breaker", "engage", "--reason", "r", settings=variables)
    assert "run_started" in piped.stderr.decode()
