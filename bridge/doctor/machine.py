"""Checks of clocks and disks: this machine's, and those of Postgres and Kafka as far as they are visible from here."""

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Final

from bridge.doctor.check import Check, Finding, Findings, fail, graded, ok, warn
from schemas import native_module
from schemas.config.addresses import database_address, is_local
from schemas.config.settings import Settings
from sinks.kafka.admin import newest_after
from sinks.postgres.stats.server import clock_skew, server

SKEW_WARN, SKEW_FAIL = 1.0, 30.0
"""Largest difference in seconds. If the three clocks differ by minutes, verdicts and retries are wrong."""
USED_WARN, USED_FAIL = 0.8, 0.9


async def _postgres_clock(settings: Settings) -> Findings:
    skew = await clock_skew(settings.dsn)
    yield [judge_clock("Postgres", skew.seconds, skew.uncertainty)]


async def _kafka_clock(settings: Settings) -> Findings:
    # Only timestamps of records show Kafka's clock, so a slow clock can't be detected without a write.
    ahead = await newest_after(settings, [settings.topics.raw], seconds=SKEW_WARN)
    if ahead is None:
        yield [ok("Kafka's clock", "no record of the raw topic has a timestamp in this machine's future")]
    else:
        yield [judge_clock("Kafka", ahead, 0.0)]


def judge_clock(whose: str, seconds: float, uncertainty: float) -> Finding:
    """Compare another clock with this machine's clock; `seconds` is how far the other clock is ahead."""
    off = max(0.0, abs(seconds) - uncertainty)
    name, found = f"{whose}'s clock", f"{abs(seconds):.2f} s {'ahead of' if seconds > 0 else 'behind'} this machine's"
    mend = "check that NTP runs on both machines"
    return graded(name, found, mend, warns=off >= SKEW_WARN, fails=off >= SKEW_FAIL)


async def _database_disk(settings: Settings) -> Findings:
    facts = await server(settings.dsn)
    here = all(map(is_local, database_address(settings.dsn).hosts))
    unseen = ok("database's disk", f"not visible from here; the size of the database is {facts.size}")
    if here and facts.data_directory:
        yield [await _disk(Path(facts.data_directory), unseen)]
    else:
        yield [unseen]


async def _own_disk(_settings: Settings) -> Findings:
    directory = Path(tempfile.gettempdir())
    unseen = fail("own disk", f"{directory} can't be examined", "set TMPDIR to a writable directory")
    yield [await _disk(directory, unseen)]


async def _disk(directory: Path, unseen: Finding) -> Finding:
    """Judge the directory's volume; return `unseen` if this machine has no such directory."""
    try:
        usage = await asyncio.to_thread(shutil.disk_usage, directory)
    except OSError:
        return unseen
    return judge_disk(unseen.check, usage.total, usage.free)


def judge_disk(name: str, total: int, free: int) -> Finding:
    """Judge a disk volume by the share of its bytes that is used."""
    used = 1 - free / total if total else 1.0
    found = f"{used:.0%} used, {free / 2**30:.1f} GiB free"
    return graded(name, found, "make room, or enlarge the volume", warns=used > USED_WARN, fails=used > USED_FAIL)


async def _native(settings: Settings) -> Findings:
    yield [judge_native(installed=native_module.module is not None, wanted=settings.native_reader)]


def judge_native(*, installed: bool, wanted: bool = True) -> Finding:
    """Judge whether the compiled module reads ordinary events. Without it each event takes more processor time."""
    if installed and wanted:
        return ok("native module", "installed: it reads ordinary events")
    found = "not installed" if wanted else "turned off by BRIDGE_NATIVE_READER"
    found += ": Python reads all events, which takes about six times the processor time for each"
    return warn(
        "native module", found, native_module.BUILD if wanted else "remove the setting, once its reason is gone"
    )


CHECKS: Final = (
    Check("machine", "native module", _native),
    Check("clock", "Postgres's clock", _postgres_clock, connects=True),
    Check("clock", "Kafka's clock", _kafka_clock),
    Check("disk", "database's disk", _database_disk, connects=True),
    Check("disk", "own disk", _own_disk),
)
