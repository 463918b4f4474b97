"""`bridge top` on a small terminal: failures first, and the number of hidden lines."""

import io

import pytest
from rich.console import Console

from bridge.top.figures import Figures, TierFigures, WorkerFigures
from bridge.top.screen import screen
from schemas.documents.gate import Verdict, WindowSums
from schemas.pipeline.breaker import BreakerState

PASS, FAIL = Verdict(passed=True), Verdict(passed=False, reasons=["too much"])
FAILING = {"total", "site:0", "site:21"}


def figures(sites: int) -> Figures:
    """Figures with a failing total, two failing sites that are the least busy, and others."""
    targets = ["total", "site:0", "site:21", *(f"site:{100 + number}" for number in range(sites - 2))]
    sums = [WindowSums(target, 1_000_000 + number, 10, 10, 10, 10) for number, target in enumerate(targets)]
    return Figures(
        per_second={}, lag={}, held={},
        workers=[WorkerFigures(f"host-{number}:1", 3, 4, 1, 5.0) for number in range(4)],
        tiers=[TierFigures(f"{minutes}m", 5, 0, 0.0) for minutes in (1, 5, 15)],
        dead_letters={}, replays={},
        windows=[(one, FAIL if one.target in FAILING else PASS) for one in sums], brake=BreakerState(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("sites", "title"),
    [(3, "the last 30m: 3 of 4 targets fail"), (20, "the last 30m: 3 of 21 targets fail, 13 are not shown")],
)
def test_failing_sites_stand_on_the_first_24_lines(sites: int, title: str) -> None:
    """Failing sites come before workers and retries, and the title gives their number."""
    console = Console(file=io.StringIO(), width=80, height=24, force_terminal=True, color_system=None)
    console.print(screen(figures(sites), window="30m"))
    lines = console.file.getvalue().splitlines()[:24]  # type: ignore[attr-defined]
    assert any(line.strip() == title for line in lines), lines
    for target in FAILING:
        assert any(target in line for line in lines), (target, lines)
