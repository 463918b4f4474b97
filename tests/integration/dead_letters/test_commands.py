"""`bridge dlq` as an operator calls it, on events that a worker dropped."""

import asyncio
import base64
import csv
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from support.events.dead_letters import add_dropped, dropped
from support.events.settled import environment_of, fetch, settle_everything, settling
from support.processes.command import bridge

from schemas.config.settings import Settings

RETRIES = timedelta(milliseconds=2100)  # the delays of `settling`
Dlq = Callable[..., CompletedProcess[bytes]]


def dlq_of(settings: Settings) -> Dlq:
    """`bridge dlq` with these settings, whose calls never show a traceback."""

    def call(*words: str, **more: Any) -> CompletedProcess[bytes]:
        done = bridge("dlq", *words, settings=environment_of(settings), **more)
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        return done

    return call


def document(done: CompletedProcess[bytes]) -> Any:
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


@pytest.fixture
def settings(stack, database_url: str, topic_prefix: str) -> Settings:  # type: ignore[no-untyped-def]  # the stack's own
    return settling(stack.kafka, database_url, topic_prefix)


async def test_from_groups_to_one_dead_letter_to_its_end(settings: Settings, tmp_path: Path) -> None:
    """Groups name a cause, `list` filters by it, `show` and `export` return everything, `discard` records the end."""
    await settle_everything(settings)
    dlq = dlq_of(settings)
    ask = ("--json-output", "-")

    grouped = document(await asyncio.to_thread(dlq, "groups", *ask))
    assert grouped["total"] == 3
    reasons = {(one["dropped_reason"], one["error_class"], one["dead_letters"]) for one in grouped["groups"]}
    assert reasons == {
        ("invalid_payload_json", "invalid_payload_json", 1),
        ("schema_violation", "schema_violation", 1),
        ("retry_exhausted", "unknown_script", 1),
    }
    # The first copies of both duplicates were persisted, so each counts once.
    assert grouped["repeated"] == []
    (group,) = [one for one in grouped["groups"] if one["dropped_reason"] == "retry_exhausted"]
    assert group["message"] == "script … is not registered"
    assert sum(group["hours"]) == 1

    listed = document(await asyncio.to_thread(dlq, "list", "--cause", group["cause"], *ask))
    assert (listed["total"], listed["next"]) == (1, None)
    (line,) = listed["dead_letters"]
    assert (line["script_id"], line["event_id"], line["attempt"]) == ("nobody", "e-51", 3)

    shown = document(await asyncio.to_thread(dlq, "show", line["provenance"], *ask))
    assert json.loads(shown["payload"])["script_id"] == "nobody"
    assert [(one["provenance"], one["state"]) for one in shown["lives"]] == [(line["provenance"], "dropped")]
    times = [datetime.fromisoformat(shown[name]) for name in ("first_failed_at", "dropped_at")]
    assert times[1] - times[0] >= RETRIES, "it was dropped after its retries, not when it first failed"
    told = (await asyncio.to_thread(dlq, "show", line["provenance"])).stdout.decode()
    assert '"script_id": "nobody"' in told

    one = ("--provenance", line["provenance"])
    would = await asyncio.to_thread(dlq, "discard", *one, "--reason", "a test", "--dry-run")
    assert (would.returncode, b"1 would be discarded" in would.stdout) == (0, True)
    assert b"a discard is final: no replay takes" in would.stdout
    helped = " ".join((await asyncio.to_thread(dlq, "discard", "--help")).stdout.decode().split())
    assert "A discard is final: no replay sends a discarded dead letter" in helped
    assert document(await asyncio.to_thread(dlq, "list", *one, *ask))["total"] == 1
    unasked = await asyncio.to_thread(dlq, "discard", *one, "--reason", "a test")
    assert (unasked.returncode, b"give --yes" in unasked.stderr) == (3, True)
    done = document(await asyncio.to_thread(dlq, "discard", *one, "--reason", "a test", "--yes", *ask))
    assert (done["processed_total"], done["reason"], done["left"]) == (1, "a test", {})
    again = await asyncio.to_thread(dlq, "discard", *one, "--reason", "a test", "--yes")
    assert b"0 discarded; left as they are: 1 discarded" in again.stdout

    assert document(await asyncio.to_thread(dlq, "list", *ask))["total"] == 2
    closed = document(await asyncio.to_thread(dlq, "show", line["provenance"], *ask))
    assert (closed["disposition"], closed["discarded_by"]) == ("discarded", done["run_id"])
    (run,) = await fetch(settings, "SELECT summary FROM script_run WHERE run_id = $1", done["run_id"])
    kept = json.loads(run["summary"])
    assert (kept["reason"], kept["filter"]["provenance"]) == ("a test", [line["provenance"]])


def rows_of_every_kind() -> list[Any]:
    return [
        dropped(0, payload='{"text": "a, \\"b\\"\r\n\x9bc"}'.encode(), script_id="=1+1", event_id="\x1b[31mred"),
        dropped(1, payload=b"\xff\xfe", key=None, site_id=None),
        dropped(2, payload=None, headers=b'[["h","/wA="],["n",null]]'),
        dropped(3, payload=b"nul\x00", error='it\'s, "quoted"\nand more'),
        dropped(4, disposition="claimed"),
        dropped(5, disposition="replayed"),
        dropped(6, disposition="discarded"),
        dropped(7, disposition=None, dropped_reason="duplicate_event_id"),
    ]


@pytest.fixture
async def filled(settings: Settings) -> Dlq:
    """The command, over rows of every kind."""
    await add_dropped(settings.dsn, rows_of_every_kind(), orgs={1: 7})
    return dlq_of(settings)


def bytes_of(one: dict[str, str], name: str) -> bytes | None:
    """The bytes of an exported field."""
    if not one[f"{name}_encoding"]:
        return None
    return base64.b64decode(one[name]) if one[f"{name}_encoding"] == "base64" else one[name].encode()


def cells_of(directory: Path) -> list[dict[str, str]]:
    """The rows of the one file in the directory."""
    (path,) = directory.iterdir()
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


async def test_an_export_loses_nothing(filled: Dlq, tmp_path: Path) -> None:
    """JSON lines and CSV have the same bytes, except for the mark before a formula; a file equals standard output."""
    plain = await asyncio.to_thread(filled, "export")
    assert plain.stderr.decode().endswith("exported 4 dead letters\n")
    lines = [json.loads(line) for line in plain.stdout.decode().splitlines()]
    table = await asyncio.to_thread(filled, "export", "--format", "csv", "--output", str(tmp_path / "letters.csv"))
    assert (table.returncode, table.stdout) == (0, b"")
    cells = cells_of(tmp_path)
    for row, line, cell in zip(rows_of_every_kind()[:4], lines, cells, strict=True):
        for found in (line, cell):
            assert found["provenance"] == str(row.provenance)
            assert (bytes_of(found, "payload"), bytes_of(found, "key")) == (row.payload, row.key)
            assert (found["event_id"], found["error"]) == (row.event_id, row.error)
        mark = "'" if row.script_id == "=1+1" else ""
        assert (line["script_id"], cell["script_id"]) == (row.script_id, f"{mark}{row.script_id}")
    assert lines[2]["headers"] == json.loads(cells[2]["headers"]) == [
        {"name": "h", "value": "/wA=", "encoding": "base64"},
        {"name": "n", "value": None, "encoding": None},
    ]  # fmt: skip


async def test_what_a_producer_wrote_does_not_reach_the_terminal_as_it_is(filled: Dlq) -> None:
    """Tables contain no escape sequence, and no line break within a cell."""
    for words in (
        ["list"],
        ["groups"],
        ["show", "bridge.raw:0:0"],
        ["show", "bridge.raw:0:3"],
        ["show", "bridge.raw:0:1"],
    ):
        done = await asyncio.to_thread(filled, *words)
        assert done.returncode == 0
        assert not {"\x1b", "\x9b"} & set(done.stdout.decode())
        assert b"\x00" not in done.stdout
    listed = (await asyncio.to_thread(filled, "list")).stdout.decode().splitlines()
    assert (len(listed), listed[-1]) == (6, "4 of 4")


async def test_discarding_leaves_what_is_not_open(filled: Dlq, settings: Settings) -> None:
    """Claimed, replayed and discarded ones and duplicates stay; their numbers are shown and recorded."""
    words = ("discard", "--site-id", "1", "--site-id", "0", "--reason", "not worth it", "--yes", "--json-output", "-")
    done = document(await asyncio.to_thread(filled, *words))
    assert done["processed_total"] == 4
    assert done["left"] == {"claimed": 1, "replayed": 1, "discarded": 1}
    rows = await fetch(settings, "SELECT disposition FROM bridge_event_raw ORDER BY raw_offset")
    assert [row[0] for row in rows] == [*["discarded"] * 4, "claimed", "replayed", "discarded", None]


WRONG = {
    "show bridge.raw:0:99": "error: no dead letter in the ledger: bridge.raw:0:99; see `bridge dlq list`\n",
    "show bridge.raw": "expected TOPIC:PARTITION:OFFSET",
    "list --dropped-reason bad": "retry_exhausted",
    "list --since soon": "give an age such as 30m, 2h or 7d, or RFC 3339",
    "list --after x": "is not the end of a page",
    "discard --reason r --yes": "another filter, --persisted, or --all",
    "discard --all --yes": "Missing option '--reason'",
    "discard --disposition replayed --site-id 1 --yes --reason r": "only open dead letters",
    "discard --provenance bridge.raw:0:99 --yes --reason r": "no dead letter in the ledger",
    "export --output /nowhere/at/all": "cannot write /nowhere/at/all",
}


async def test_what_is_wrong_is_said_in_one_line(filled: Dlq, settings: Settings) -> None:
    """The line names the mistake and the remedy; nothing is changed."""
    for words, said in WRONG.items():
        done = await asyncio.to_thread(filled, *words.split())
        assert (done.returncode, said in (done.stderr + done.stdout).decode()) == (3, True), (words, done.stderr)
    (row,) = await fetch(settings, "SELECT count(*) FROM bridge_event_raw WHERE disposition = 'open'")
    assert row["count"] == 4


async def test_whoever_has_read_enough_may_close_the_pipe(settings: Settings) -> None:
    """A reader such as `head` ends the output without an error."""
    import subprocess

    from support.processes.command import words
    from support.processes.programs import CHECKOUT, environment

    await add_dropped(settings.dsn, [dropped(number, payload=b"x" * 20_000) for number in range(100)])
    process = subprocess.Popen(
        words("dlq", "export"), env=environment(environment_of(settings)), cwd=CHECKOUT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(10)
    process.stdout.close()
    told = await asyncio.to_thread(process.stderr.read)
    assert (await asyncio.to_thread(process.wait, 60), told) == (2, b"")
    process.stderr.close()
