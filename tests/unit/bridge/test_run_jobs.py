"""The end of a command that runs a job: what is printed where, and the exit code."""

from typing import Any

import pytest
import typer

from bridge.cli import jobs
from bridge.jobs.frame import DONE, FATAL, RunOptions
from schemas.documents.run_summary import RunSummary, TargetError
from telemetry.terminal import result

FAILED = [TargetError(target="site:3", reason="gone")]


def show(summary: RunSummary) -> None:
    result(f"{summary.script}: {summary.processed_total}")


@pytest.mark.parametrize(
    ("end", "options", "code", "out", "err"),
    [
        (jobs.end_with, {}, DONE, "x: 7\n", ""),
        (jobs.end_with, {}, FATAL, "x: 7\n", ""),
        (jobs.end_with_result, {}, DONE, "x: 7\n", ""),
        (jobs.end_with_result, {}, FATAL, "", "failed: site:3: gone\n"),
        (jobs.end_with_result, {"partial": True}, FATAL, "x: 7\n", "failed: site:3: gone\n"),
    ],
)
def test_command_ends_with_the_run_of_its_job(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    end: Any, options: dict[str, bool], code: int, out: str, err: str,
) -> None:  # fmt: skip
    """Nothing is printed on standard output if it has the JSON."""

    async def perform(*_: object) -> tuple[RunSummary, int]:
        errors = [] if code == DONE else FAILED
        return RunSummary(script="x", run_id="1", started_at="", processed_total=7, errors=errors), code

    monkeypatch.setattr(jobs, "perform", perform)
    for json_output, printed in ((None, out), ("file", out), ("-", "")):
        with pytest.raises(typer.Exit) as ended:
            end(None, None, RunOptions(json_output=json_output), show, **options)
        assert ended.value.exit_code == code
        assert capsys.readouterr() == (printed, err)
