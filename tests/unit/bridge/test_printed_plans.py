"""Producers' texts in a plan on a terminal."""

import pytest

from bridge.cli.dlq.replays import print_report
from schemas.documents.replay import Example, Forecast, PlanReport, Sample


def test_nothing_of_a_producer_s_moves_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Diffs, examples and errors are escaped."""
    bad = "\x9b31m\x1b[2J"
    print_report(
        PlanReport(
            items=1, by_forecast={Forecast.REFUSED: 1}, failures={bad: 1}, refusals={bad: 1},
            examples=[Example(provenance="r:0:1", why=bad)],
            samples=[Sample(provenance="r:0:1", diff=[f'+  "a": "{bad}"'])],
        )
    )  # fmt: skip
    said = capsys.readouterr().out
    assert not {"\x1b", "\x9b"} & set(said)
    assert said.count("\\x9b31m") == 4
