"""Command output: no cell, title, line or JSON text controls the terminal."""

import json
import os
import signal
import subprocess
import sys
from importlib.metadata import version
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest
from rich.console import Group
from rich.text import Text
from support.processes.command import bridge
from support.processes.programs import CHECKOUT

from bridge.cli.common import given_reason, write_json
from bridge.output.tables import Table, print_table, print_text
from bridge.top.figures import Figures
from bridge.top.screen import screen
from schemas.errors import InvalidInput
from schemas.pipeline.breaker import BreakerState
from telemetry.printable import control_character, printable, printable_json
from telemetry.terminal import result, say, say_error

HOSTILE = "\x1b[31m\x07\x9b2J\x1b]8;;http://x\x07\x1b]52;c;eA==\x07\u202e\u2028\x7f\r\nSPOOFED"
CONTROLS = {*HOSTILE} - {*"SPOOFED[31m2J]8;http://x52c,eA="}


def assert_one_line(said: str, times: int = 1) -> None:
    """Check that the text is complete, escaped, and starts no line of its own."""
    assert not CONTROLS & {*said.replace("\n", "")}, ascii(said)
    assert [line for line in said.split("\n") if line.startswith("SPOOFED")] == []
    assert said.count("\\nSPOOFED") == times


def test_lines_are_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Progress and errors go to standard error, results to standard output."""
    say(HOSTILE)
    result(HOSTILE)
    print_text(HOSTILE)
    said = capsys.readouterr()
    assert_one_line(said.err)
    assert_one_line(said.out, 2)
    say_error(InvalidInput("one\x1b\ntwo"))
    say_error(InvalidInput())
    assert capsys.readouterr().err == "error: one\\x1b\nerror: two\nerror: InvalidInput\n"


def test_tables_are_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Columns, titles, cells and styled texts are escaped, and neither markup nor emoji codes apply."""
    table = Table("a", HOSTILE, title=HOSTILE)
    table.add_row(HOSTILE, Text(HOSTILE))
    table.add_row("[bold]x[/bold]", ":warning:")
    print_table(table)
    print_table(Group(HOSTILE, Text(HOSTILE), table))
    said = capsys.readouterr().out
    assert_one_line(said, 10)
    assert "[bold]x[/bold]" in said
    assert ":warning:" in said


def test_screen_of_top_is_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    """The breaker's cause, the pauses' reasons and the error of stale figures are escaped."""
    brake = BreakerState(engaged=True, by_hand=True, reason=HOSTILE)
    found = Figures({}, {}, {"p": HOSTILE}, [], [], {}, {}, [], brake)
    print_table(screen(found, window="30m", trouble=HOSTILE))
    assert_one_line(capsys.readouterr().out, 3)


def test_json_is_escaped_and_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """C1, direction marks and lone surrogates are escaped; printable text is unchanged."""
    document = {HOSTILE: [HOSTILE, "é 😀 \U000e0041 \ud800"]}
    write_json(document, "-")
    said = capsys.readouterr().out
    assert all(line.isprintable() for line in said.split("\n"))
    assert "é 😀" in said
    assert json.loads(said) == document
    assert printable_json('"plain"') == '"plain"'
    assert printable("a\nb\x1b", keep="\n") == "a\nb\\x1b"


@pytest.mark.parametrize("text", ["a\nb", "\x1b[31m", "a\x9b", "\u202eb", "a\u2028b", "a\tb", "a\ud800", "a\u200eb"])
def test_reason_with_a_control_character_is_refused(text: str) -> None:
    """The error gives the character's number and an alternative."""
    with pytest.raises(InvalidInput, match=r"control character U\+[0-9A-F]{4}; give one line of plain text"):
        given_reason(text)


@pytest.mark.parametrize(
    "text", ["déjà vu : oui", "a\u00a0b", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "👩\u200d💻"]
)
def test_reason_of_any_script_is_taken(text: str) -> None:
    """Joiners, which emoji and Persian need, and non-breaking spaces are accepted."""
    assert given_reason(f" {text}\n") == text
    assert control_character(text) is None


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_output_of_another_encoding_holds_everything(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Characters that the encoding lacks are escaped, in JSON as JSON does."""
    text = "déjà 😀 €"
    told = TextIOWrapper(BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", told)
    table = Table("name", "née")
    table.add_row(text, text)
    print_table(table)
    print_text(text)
    result(text)
    write_json({text: [text]}, "-")
    told.flush()
    lines = told.buffer.getvalue().decode(encoding).split("\n")  # type: ignore[attr-defined]  # BytesIO
    written = text.encode(encoding, "backslashreplace").decode(encoding)
    assert [one.rstrip() for one in lines[1:4]] == [f"{written}  {written}", written, written]
    assert json.loads("\n".join(lines[4:])) == {text: [text]}


@pytest.mark.parametrize("given", ["--help", "--version", "dlq list -h", "--show-completion"])
def test_command_answers_in_ascii(given: str) -> None:
    """Output of libraries is escaped too: help with its frames, and the completion script."""
    done = bridge(*given.split(), settings={"PYTHONIOENCODING": "ascii", "SHELL": "/bin/bash"})
    assert (done.returncode, b"Traceback" in done.stderr, bool(done.stdout)) == (0, False, True), done.stderr
    assert done.stdout.isascii()


def test_version_and_completion_are_told() -> None:
    """The version is the package's; completion covers groups that load on demand."""
    assert bridge("--version", settings={}).stdout.decode() == f"bridge {version('ghostlink-bridge')}\n"
    asked = {"_BRIDGE_COMPLETE": "complete_bash", "COMP_WORDS": "bridge dlq gr", "COMP_CWORD": "2"}
    script = Path(sys.executable).with_name("bridge")
    done = subprocess.run([script], capture_output=True, text=True, check=True, env=os.environ | asked)
    assert done.stdout.split() == ["groups"]


def test_a_crash_says_where_it_was(tmp_path: Path) -> None:
    """A signal such as SIGSEGV prints the stack of each thread."""
    crash = "import ctypes; from telemetry.terminal import report_crashes; report_crashes(); ctypes.string_at(0)"

    # The system may write a core file into the current directory.
    ended = subprocess.run(
        [sys.executable, "-c", crash], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert ended.returncode == -signal.SIGSEGV
    assert "Segmentation fault" in ended.stderr
    assert 'File "<string>", line 1' in ended.stderr
