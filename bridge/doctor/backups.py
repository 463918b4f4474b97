"""Checks of backups: Kafka's retention must reach back beyond the oldest backup that might be restored."""

from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Final

from bridge.doctor.check import Check, Finding, fail, ok, warn
from schemas.config.settings import Settings
from sinks.kafka.admin import kafka_admin, topic_facts
from sinks.kafka.aiokafka_patches.configs import read_configs

_TIME, _SIZE = "retention.ms", "retention.bytes"
_HOUR_MS = 3_600_000


async def _retention(settings: Settings) -> AsyncIterator[Finding]:
    topics = settings.topics
    async with kafka_admin(settings) as client:
        there = await topic_facts(client)
        wanted = {name: {_TIME: "", _SIZE: ""} for name in (topics.raw, *topics.retries, topics.dlq) if name in there}
        configs = await read_configs(client, wanted)
    needed = settings.seconds("backup_max_age") + settings.seconds("restore_time")
    for finding in judge_retention(configs, round(needed * 1000)):
        yield finding


def judge_retention(configs: Mapping[str, Mapping[str, str]], needed_ms: int) -> Iterable[Finding]:
    """Check whether a restored database could be completed from Kafka: by retention time, not cut short by size."""
    if not configs:
        yield fail("retention", "there is no raw, retry or DLQ topic", "run `bridge topics apply`")
        return
    short = False
    for name, config in sorted(configs.items()):
        kept = int(config.get(_TIME, "-1"))
        if 0 <= kept <= needed_ms:
            short = True
            found = f"{name} keeps {_hours(kept)}, a restore may need {_hours(needed_ms)}"
            yield fail(
                "retention",
                found,
                f"keep more than {needed_ms} ms there, or correct BRIDGE_BACKUP_MAX_AGE and BRIDGE_RESTORE_TIME",
            )
        if int(config.get(_SIZE, "-1")) >= 0:
            short = True
            found = f"{name} is also cut by size ({config[_SIZE]} bytes a partition), regardless of its age"
            yield warn("retention", found, "take retention.bytes off the topic")
    if not short:
        yield ok("retention", f"raw, retry and DLQ topics reach back {_hours(needed_ms)}, what a restore may need")


def _hours(milliseconds: int) -> str:
    return f"{milliseconds / _HOUR_MS:.3g} h"


CHECKS: Final = (Check("backups", "retention", _retention),)
