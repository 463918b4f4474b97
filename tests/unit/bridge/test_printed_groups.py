"""Groups of dead letters on a terminal."""

import io
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.cli.dlq.groups import print_groups
from schemas.pipeline.record import Provenance
from sinks.postgres.dead_letters.groups import Duplicates, Group, Groups, Often, Owner, Repeated
from sinks.postgres.dead_letters.letter import DeadLetterLine

AT = datetime(2026, 11, 29, 1, tzinfo=UTC)
OWNERS = [Owner(11, 1, 5000, ["acme-shop"]), Owner(12, 1, 2000, ["acme-app", "acme-kiosk"]), Owner(31, None, 7, [])]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def group() -> Group:
    line = DeadLetterLine(
        Provenance("bridge.raw", 7, 5120), AT, "retry_exhausted", "unknown_script", "script 'acme-app' is not registered",
        "48cc75900bd4b683", 4, 12, 1, "acme-app", "e-1", "open", None, None,
    )  # fmt: skip
    return Group(line.cause, "script … is not registered", 7207, AT, AT, [7207, 0, 0, 0, 0, 0], line, OWNERS, 6, AT)


@pytest.mark.parametrize("width", [80, 100])
def test_a_cause_names_whose_it_is_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    """Its card shows sites, organisations and scripts, within the terminal's width."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys, "stdout", out := Terminal())
    print_groups(Groups([group()], 1, 7207, Often([], 0, [], 0, 0)), 6)
    said: Any = out.getvalue()
    whose = (
        "site 11 (org 1) acme-shop: 5000; site 12 (org 1) acme-app, acme-kiosk: 2000; site 31 (no org): 7; 3 more sites"
    )
    assert whose in " ".join(said.split())
    assert max(map(len, said.splitlines())) <= width


@pytest.mark.parametrize(
    ("persisted", "looked_up", "said"),
    [(0, 7207, None), (600, 7207, " 600 "), (600, 5000, " 600 of 5000 ")],
)
def test_a_cause_says_how_many_were_sent_again(
    capsys: pytest.CaptureFixture[str], persisted: int, looked_up: int, said: str | None
) -> None:
    """The column and its explanation appear only if needed, with the sample's size if it was one."""
    one = group()._replace(persisted=persisted, looked_up=looked_up)
    print_groups(Groups([one], 1, 7207, Often([], 0, [], 0, 0)), 6)
    shown = capsys.readouterr().out
    assert ("persisted" in shown, "`bridge dlq discard --persisted`" in shown) == (said is not None,) * 2
    assert said is None or said in shown


REPEATED = [Repeated("s", 1, f"e-{number}", 20 - number, AT, AT) for number in range(20)]
BY_SCRIPT = [Duplicates(f"s{number}", 1, 20 - number) for number in range(20)]


def test_duplicates_push_no_cause_off_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A terminal shows the top three of both tables and the rest's count; --all and pipes show all."""
    often = Often(REPEATED, 25, BY_SCRIPT, 20, 210, 0)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "stdout", out := Terminal())
    print_groups(Groups([group()], 1, 7207, often), 6)
    said = out.getvalue()
    assert [f"e-{number}" in said for number in range(4)] == [True, True, True, False]
    assert "17 scripts not shown: --all shows them\n" in said
    assert "17 repeated events not shown: --all shows them\n" in said
    assert "and 5 more events\n" in said
    assert len(said.splitlines()) <= 40

    monkeypatch.setattr(sys, "stdout", out := Terminal())
    print_groups(Groups([group()], 1, 7207, often), 6, everything=True)
    assert "not shown" not in out.getvalue()
    assert "e-19" in out.getvalue()
    assert "and 5 more events\n" in out.getvalue()


@pytest.mark.parametrize(("seconds", "said"), [(127, True), (1, False)])
def test_a_cause_says_since_when_its_events_come(capsys: pytest.CaptureFixture[str], seconds: int, said: bool) -> None:
    """Retried events arrived well before they were dropped."""
    one = group()._replace(since=AT - timedelta(seconds=seconds))
    print_groups(Groups([one], 1, 7207, Often([], 0, [], 0, 0)), 6)
    shown = capsys.readouterr().out
    assert ("2026-11-29T00:57:53Z  2026-11-29T01:00:00Z  2026-11-29T01:00:00Z" in shown, "since: when" in shown) == (
        said,
    ) * 2


def test_duplicates_say_how_many_are_replays(capsys: pytest.CaptureFixture[str]) -> None:
    """The number is next to their sum."""
    print_groups(Groups([], 0, 0, Often([], 0, [Duplicates("s", 1, 12)], 1, 12, 2)), 6)
    assert "dropped as duplicates: 12, 2 of these replays\n" in capsys.readouterr().out
