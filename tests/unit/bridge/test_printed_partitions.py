"""Partitions on a terminal: uninteresting ones are left out unless all are requested."""

import pytest

from bridge.cli.reports.audit import show
from bridge.cli.stream.offsets import print_offsets
from schemas.documents.audit_report import AuditReport, AuditTotals, PartitionAccount
from sinks.postgres.offsets.admin import StoredOffset

NOTHING = dict.fromkeys(
    ("read", "live", "persisted", "dropped", "waiting", "stale", "skipped", "lost", "lost_acknowledged", "unread"), 0
)
IDLE = StoredOffset("bridge.raw", 0, 1, 0, 0, 0, 0, None, "w1", 1, None, 0, 0, 0)


def account(partition: int, **changed: object) -> PartitionAccount:
    places = dict.fromkeys(("base_offset", "next_offset", "log_start", "log_end"), 0)
    given = {"topic": "bridge.raw", "partition": partition, "kind": "raw", "balanced": True}
    return PartitionAccount.model_validate(given | places | NOTHING | changed)


def report() -> AuditReport:
    totals = AuditTotals.model_validate(
        dict.fromkeys(AuditTotals.model_fields, 0) | {"dropped_by_reason": {}, "dropped_became": None, "replays": None}
    )
    accounts = [account(0), account(1, read=5, persisted=5), account(2, balanced=False), account(3, unread=1)]
    return AuditReport(balanced=True, deep=True, totals=totals, partitions=accounts)


@pytest.mark.parametrize(("everything", "left_out"), [(False, {0}), (True, set())])
def test_an_audit_shows_what_does_not_balance_or_is_not_zero(
    capsys: pytest.CaptureFixture[str], everything: bool, left_out: set[int]
) -> None:
    """The output gives the number of partitions that are left out."""
    show(report(), everything=everything)
    said = capsys.readouterr().out
    assert {number for number in range(4) if f"bridge.raw-{number}" not in said} == left_out
    assert ("1 empty partitions that balance are not shown: --all shows them" in said) is bool(left_out)


@pytest.mark.parametrize(
    ("changed", "shown"),
    [
        ({}, False),
        ({"next_offset": 7, "log_end": 7}, True),
        ({"lag": 1}, True),
        ({"lag": None}, True),
        ({"held": "paused"}, True),
        ({"skipped": 1}, True),
        ({"lost": 1}, True),
    ],
)
def test_offsets_show_what_was_read_waits_or_is_held(
    capsys: pytest.CaptureFixture[str], changed: dict[str, object], shown: bool
) -> None:
    """Unused partitions are left out."""
    print_offsets([IDLE._replace(**changed)], everything=False)  # type: ignore[arg-type]  # by name
    said = capsys.readouterr().out
    assert ("bridge.raw" in said, "1 unused partitions are not shown" in said) == (shown, not shown)
    print_offsets([IDLE], everything=True)
    assert "bridge.raw" in capsys.readouterr().out
