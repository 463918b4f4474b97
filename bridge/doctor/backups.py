"""Checks of backups: Kafka must keep records for longer than the age of the oldest backup that may be restored."""

from collections.abc import Mapping
from typing import Final

from bridge.doctor.check import Check, Finding, Findings, fail, ok, warn
from schemas.config.settings import Settings
from sinks.kafka.admin import kafka_admin, topic_facts
from sinks.kafka.aiokafka_patches.configs import read_configs

_TIME, _SIZE = "retention.ms", "retention.bytes"
_HOUR_MS = 3_600_000


async def _retention(settings: Settings) -> Findings:
    topics = settings.topics
    async with kafka_admin(settings) as client:
        there = await topic_facts(client)
        wanted = {name: {_TIME: "", _SIZE: ""} for name in (topics.raw, *topics.retries, topics.dlq) if name in there}
        configs = await read_configs(client, wanted)
    needed = settings.backup_max_age.seconds + settings.restore_time.seconds
    yield judge_retention(configs, round(needed * 1000))


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
            mend = f"set retention.ms of the topic to more than {needed_ms}, or correct BRIDGE_BACKUP_MAX_AGE and BRIDGE_RESTORE_TIME"
            troubles.append(fail("retention", found, mend))
        if int(config.get(_SIZE, "-1")) >= 0:
            limit = f"a size limit ({config[_SIZE]} bytes a partition)"
            found = f"{name} also has {limit}, which deletes records of any age"
            troubles.append(warn("retention", found, "remove retention.bytes from the topic"))
    found = f"raw, retry and DLQ topics keep records for {_hours(needed_ms)}, which a restore may need"
    return troubles or [ok("retention", found)]


def _hours(milliseconds: int) -> str:
    return f"{milliseconds / _HOUR_MS:.3g} h"


CHECKS: Final = (Check("backups", "retention", _retention),)
