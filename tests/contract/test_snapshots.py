"""Contracts and reference pages match the code: a change shows in the diff of a file."""

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from support.events.dlq_reader import decoded, read_dead_letter
from support.events.making import body, record
from support.memory.source import MemoryRecord
from support.processes.command import words
from support.processes.programs import run

from bridge.reference.documents import contracts, pages
from schemas.config.environment import environment_names
from schemas.config.settings import Settings
from schemas.errors import InvalidInput
from schemas.instants import instant
from schemas.kafka import headers as names
from schemas.pipeline.outcome import Attempt, Failure
from schemas.pipeline.record import Provenance, RawRecord
from schemas.reasons import DroppedReason, ErrorClass
from sinks.kafka.publisher import copy_headers

CHECKOUT = Path(__file__).resolve().parents[2]
SNAPSHOTS = CHECKOUT / "schemas" / "snapshots"


@pytest.mark.parametrize("name", sorted(contracts()))
def test_a_contract_is_as_its_snapshot(name: str) -> None:
    """A contract changes only on purpose, because readers outside this repository depend on it."""
    path = SNAPSHOTS / f"{name}.json"
    kept = json.loads(path.read_text()) if path.exists() else None

    assert kept == json.loads(json.dumps(contracts()[name])), (
        f"the contract {name} changed; if that is meant: bridge schema export --dir schemas/snapshots"
    )


def test_no_snapshot_outlives_its_contract() -> None:
    """Every snapshot belongs to an existing contract."""
    assert {path.stem for path in SNAPSHOTS.glob("*.json")} == set(contracts())


@pytest.mark.parametrize("name", sorted(pages()))
def test_a_page_is_as_the_code_says(name: str) -> None:
    """Each generated page equals what the code generates."""
    kept = (CHECKOUT / "docs" / name).read_text()

    assert kept == pages()[name], f"docs/{name} is not what the code says; renew it: bridge schema docs --dir docs"


def test_every_setting_is_documented() -> None:
    """The page lists each setting with its variables and purpose, and no secret's value."""
    page = pages()["settings.md"]
    for name, field in Settings.model_fields.items():
        for variable in environment_names(name, field):
            (line,) = [
                row for row in page.splitlines() if row.startswith("| ") and f"`{variable}`" in row.split("|")[1]
            ]
            assert field.description
            assert field.description.replace("|", "\\|") in line
            assert ("(secret)" in line) == ("SecretStr" in str(field.annotation))


def test_every_error_class_is_documented() -> None:
    page = pages()["errors.md"]
    for error in ErrorClass:
        assert f"| `{error.value}` |" in page


def test_a_sound_event_fits_the_exported_contract() -> None:
    """The schema and the stream accept and refuse the same events, unknown fields included."""
    schema = contracts()["raw_event_v1"]
    jsonschema.validate(json.loads(body()) | {"something": "else"}, schema)

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(body(event_id="")), schema)


def test_the_commands_write_all_of_it(tmp_path: Path) -> None:
    """`schema export` and `schema docs` write the files that the tests compare, and print each name."""
    for command, expected in (("export", {f"{name}.json" for name in contracts()}), ("docs", set(pages()))):
        directory = tmp_path / command
        done = run(words("schema", command, "--dir", str(directory)))

        assert done.returncode == 0, done.stderr
        assert {path.name for path in directory.iterdir()} == expected
        assert sorted(done.stdout.split()) == sorted(str(directory / name) for name in expected)
    assert json.loads((tmp_path / "export" / "topics.json").read_text()) == contracts()["topics"]


def _failure(raw: RawRecord, number: int = 1, **changed: object) -> Failure:
    chosen: dict[str, object] = {
        "attempt": Attempt(raw, Provenance("t.raw", 3, 77), number, instant(1_760_000_000_123), 1_760_000_001_456, 0),
        "error_class": ErrorClass.SCHEMA_VIOLATION,
        "error": "site_id: must be greater than 0",
        "dropped_reason": DroppedReason.SCHEMA_VIOLATION,
    }
    return Failure(**(chosen | changed))  # type: ignore[arg-type]  # a table of arguments


def _on_the_dlq(failure: Failure, value: bytes | None) -> MemoryRecord:
    return MemoryRecord(
        "t.dlq", 3, 5, value, failure.attempt.record.key, 1_760_000_002_789, 1, tuple(copy_headers(failure))
    )


def test_a_dead_letter_is_read_whole() -> None:
    """Key, value and raw headers are byte-identical, next to the reason and the time."""
    odd = [("a", b"\x00\xff"), ("a", None), ("", b"")]
    raw = record(77, b"\xff\x00{bad", key=b"\xfe", headers=odd)

    letter = read_dead_letter(_on_the_dlq(_failure(raw), raw.value))

    assert (decoded(letter.key), decoded(letter.value)) == (b"\xfe", b"\xff\x00{bad")
    assert [header.name for header in letter.headers] == ["a", "a", ""]
    assert [header.value for header in letter.headers] == ["AP8=", None, ""]
    assert (letter.provenance, letter.attempt, letter.offset) == ("t.raw:3:77", 1, 5)
    assert (letter.dropped_reason, letter.error_class) == ("schema_violation", "schema_violation")
    assert letter.error == "site_id: must be greater than 0"
    assert letter.received_at.isoformat() == "2025-10-09T08:53:20.123000+00:00"
    assert letter.first_failed_at.isoformat() == "2025-10-09T08:53:21.456000+00:00"
    assert letter.dead_lettered_at.isoformat() == "2025-10-09T08:53:22.789000+00:00"
    jsonschema.validate(letter.model_dump(mode="json"), contracts()["dead_letter"])


def test_a_dead_letter_after_retries_holds_the_first_headers_only() -> None:
    """Headers that retries appended do not count as the producer's."""
    raw = record(77, b"{}", headers=[("mine", b"1"), (names.PROVENANCE, b"not mine")])
    retry = _failure(raw, dropped_reason=None, retry_topic="t.retry.1s", due_at_ms=1)
    copied = record(4, b"{}", headers=copy_headers(retry))
    last = _failure(copied, 2, dropped_reason=DroppedReason.RETRY_EXHAUSTED)

    letter = read_dead_letter(_on_the_dlq(last, b"{}"))

    assert [header.name for header in letter.headers] == ["mine", names.PROVENANCE]
    assert (letter.attempt, letter.dropped_reason) == (2, "retry_exhausted")


def test_a_record_of_nothing_comes_back_as_nothing() -> None:
    """A header restores the null key and value, which Kafka cannot hold together."""
    raw = replace(record(77, key=None), value=None)

    letter = read_dead_letter(_on_the_dlq(_failure(raw), b""))

    assert (decoded(letter.key), decoded(letter.value)) == (None, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (names.PROVENANCE, b"nonsense"),
        (names.ATTEMPT, b"x"),
        (names.ATTEMPT, b"0"),
        (names.DROPPED_REASON, b"mood"),
        (names.ERROR_CLASS, b"\xff"),
        (names.RECEIVED_AT, b"9999999999999999999"),
        (names.FIRST_FAILED_AT, None),
    ],
)
def test_what_is_no_dead_letter_is_refused(name: str, value: bytes | None) -> None:
    """Another program's record on the topic is reported by name, not guessed at."""
    good = _on_the_dlq(_failure(record(77, b"{}")), b"{}")
    read_dead_letter(good)
    changed = tuple((known, value if known == name else text) for known, text in good.headers)

    with pytest.raises(InvalidInput, match=r"t\.dlq:3:5 is not a dead letter"):
        read_dead_letter(replace(good, headers=changed))
    with pytest.raises(InvalidInput, match=f"no header {names.PROVENANCE}"):
        read_dead_letter(replace(good, headers=()))
