"""Checks of retention: tables that grow without a limit."""

from collections.abc import Mapping
from typing import Final

from bridge.doctor.check import Check, Finding, Findings, ok, warn
from schemas.config.settings import Settings
from schemas.pipeline.retention import RetentionKind
from sinks.postgres.stats.server import table_sizes
from streams.rules.retention import RETENTIONS, unset

LARGE_BYTES: Final = 1024**3
"""Size in bytes above which a table without a retention is a warning."""
_TABLES: Final = {
    "bridge_event_raw": RetentionKind.LEDGER,
    "gate_window": RetentionKind.MINUTE_WINDOWS,
    "script_run": RetentionKind.RUNS,
}


async def _growth(settings: Settings) -> Findings:
    yield judge_growth(settings, await table_sizes(settings.dsn, list(_TABLES)))


def judge_growth(settings: Settings, sizes: Mapping[str, int]) -> list[Finding]:
    """Report each large table of which nothing is ever removed, because no retention is set; sizes are in bytes."""
    missing, found = unset(settings), []
    for table, size in sizes.items():
        retention = RETENTIONS[_TABLES[table]]
        name = f"BRIDGE_{retention.setting.upper()}"
        if size > LARGE_BYTES and name in missing:
            mend = (
                f"set {name} (proposed: {retention.proposal}), then run `bridge retention plan`; see docs/retention.md"
            )
            found.append(warn("retention", f"{table} has {size / LARGE_BYTES:.1f} GiB, and {name} is not set", mend))
    largest = max(sizes.values(), default=0)
    return found or [
        ok("retention", f"each large table has a retention; the largest has {largest / LARGE_BYTES:.1f} GiB")
    ]


CHECKS: Final = (Check("postgres", "retention", _growth, connects=True),)
