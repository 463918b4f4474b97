"""Checks of backups: they are made and verified, and Kafka must keep records for longer than the age of the oldest backup that may be restored."""

import time
from collections.abc import Mapping
from typing import Final

from bridge.doctor.check import Check, Finding, Findings, fail, ok, warn
from schemas.config.settings import Settings
from schemas.errors import BridgeError, SinkUnavailable
from sinks.kafka.admin import kafka_admin, topic_facts
from sinks.kafka.aiokafka_patches.configs import read_configs
from sinks.postgres.backups.ages import BackupAges, backup_ages

_TIME, _SIZE = "retention.ms", "retention.bytes"
_HOUR_MS = 3_600_000


_OLD_HOURS: Final = 26
_UNVERIFIED_DAYS: Final = 35
_NOT_READABLE: Final = ("42501", "42P01")
"""SQLSTATEs of an account that may not read the table of backups, and of a database from before it."""


async def _retention(settings: Settings) -> Findings:
    topics = settings.topics
    async with kafka_admin(settings) as client:
        there = await topic_facts(client)
        wanted = {name: {_TIME: "", _SIZE: ""} for name in (topics.raw, *topics.retries, topics.dlq) if name in there}
        configs = await read_configs(client, wanted)
    try:
        ages = await _ages(settings)
    except BridgeError:
        # The check of backups reports that. Without Postgres the settings count.
        ages = None
    yield judge_retention(configs, needed_ms(settings, ages, time.time()))


async def _newest(settings: Settings) -> Findings:
    ages = await _ages(settings)
    if ages is not None:
        yield judge_ages(ages, time.time(), expected=settings.env == "production")


async def _ages(settings: Settings) -> BackupAges | None:
    """Return the times of backups, None if this account can't read them."""
    try:
        return await backup_ages(settings.dsn)
    except SinkUnavailable as error:
        if error.sqlstate in _NOT_READABLE:
            return None
        raise


def needed_ms(settings: Settings, ages: BackupAges | None, now: float) -> int:
    """Return for how long Kafka has to keep records, in milliseconds.

    A restore takes the newest verified backup, or any backup while none is verified. Its real age and the measured time
    of a restore count if they exceed the settings.
    """
    age, restore = settings.backup_max_age.seconds, settings.restore_time.seconds
    if ages is not None:
        restored = max((one for one in (ages.verified, ages.oldest) if one is not None), default=now)
        age = max(age, now - restored)
        restore = max(restore, ages.restore_seconds or 0)
    return round((age + restore) * 1000)


def judge_ages(ages: BackupAges, now: float, *, expected: bool) -> list[Finding]:
    """Check the ages of the newest backup and of the newest verified one; `expected` warns if there is no backup."""
    if ages.newest is None or ages.verified is None:
        found = "no backup of the database is known"
        mend = "run `bridge backup create` each day, or `bridge backup attest` after the backups of another program"
        return [warn("backup", found, mend) if expected else ok("backup", found)]
    age, unverified = (now - ages.newest) * 1000, (now - ages.verified) * 1000
    findings = []
    if age > _OLD_HOURS * _HOUR_MS:
        found = f"the newest backup is {_hours(round(age))} old, more than {_OLD_HOURS} h"
        findings.append(warn("backup", found, "see `bridge runs list --script backup-create`"))
    if unverified > _UNVERIFIED_DAYS * 24 * _HOUR_MS:
        found = f"no backup of the last {_UNVERIFIED_DAYS} days is verified"
        findings.append(warn("backup", found, "run `bridge backup verify`"))
    return findings or [
        ok("backup", f"the newest is {_hours(round(age))} old, a verified one {_hours(round(unverified))}")
    ]


def judge_retention(configs: Mapping[str, Mapping[str, str]], needed_ms: int) -> list[Finding]:
    """Check that Kafka still has all records since the oldest backup of the database that may be restored.

    Workers read these records again after a restore. So the topics (`configs`) must keep records for at least
    `needed_ms`, without a limit of size.
    """
    if not configs:
        return [fail("retention", "there is no raw, retry or DLQ topic", "run `bridge topics apply`")]
    troubles = []
    for name, config in sorted(configs.items()):
        kept = int(config.get(_TIME, "-1"))
        if 0 <= kept <= needed_ms:
            found = f"{name} keeps {_hours(kept)}, a restore may need {_hours(needed_ms)}"
            mend = f"set retention.ms of the topic to more than {needed_ms}, or correct BRIDGE_BACKUP_MAX_AGE and BRIDGE_RESTORE_TIME, or make and verify a newer backup"
            troubles.append(fail("retention", found, mend))
        if int(config.get(_SIZE, "-1")) >= 0:
            limit = f"a size limit ({config[_SIZE]} bytes a partition)"
            found = f"{name} also has {limit}, which deletes records of any age"
            troubles.append(warn("retention", found, "remove retention.bytes from the topic"))
    found = f"raw, retry and DLQ topics keep records for {_hours(needed_ms)}, which a restore may need"
    return troubles or [ok("retention", found)]


def _hours(milliseconds: int) -> str:
    return f"{milliseconds / _HOUR_MS:.3g} h"


CHECKS: Final = (
    Check("backups", "retention", _retention, connects=True),
    Check("backups", "backup", _newest, connects=True),
)
