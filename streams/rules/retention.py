"""The rules of retention: which rows a plan removes; pure.

Each retention has a lower bound, below which the product would need the rows.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from schemas.config.settings import Settings
from schemas.errors import InvalidInput
from schemas.pipeline.retention import RetentionKind, RetentionStep


class Retention(NamedTuple):
    """The setting of one kind of rows, the proposed value if any, the lower bound in hours, and its reason."""

    setting: str
    proposal: str
    least_hours: int
    why: str


_DAY: Final = 24
RETENTIONS: Final = {
    RetentionKind.LEDGER: Retention(
        "keep_ledger", "2160h", 7 * _DAY, "a worker may read a record of the raw and retry topics again"
    ),
    RetentionKind.PAYLOADS: Retention("keep_healed_payloads", "720h", _DAY, "an operator may want to look at them"),
    RetentionKind.MINUTE_WINDOWS: Retention(
        "keep_minute_windows", "840h", 8 * _DAY, "gate and key figures read the minutes of seven days"
    ),
    RetentionKind.HOUR_WINDOWS: Retention("keep_hour_windows", "9600h", 8 * _DAY, "key figures read seven days"),
    RetentionKind.EVENTS: Retention(
        "keep_events", "", 60 * _DAY, "events of last month may still arrive, and each late one needs another archive"
    ),
    RetentionKind.KEYS: Retention(
        "keep_keys",
        "1080h",
        30 * _DAY,
        "Kafka keeps events of the raw topic and the DLQ so long, and they may be sent again",
    ),
    RetentionKind.RUNS: Retention("keep_runs", "4320h", 7 * _DAY, "metrics and alerts read the last runs"),
}


def steps(settings: Settings, now: datetime, oldest_month: datetime | None) -> list[RetentionStep]:
    """Return the steps of a plan by the settings, in the order in which they run.

    `oldest_month` is the begin of the oldest month of stored events; None if no month is stored. A key is not removed
    while the month of its event is stored, so that a duplicate is refused as long as the event that it repeats is
    there. A key's time is never before its event's. Raises InvalidInput if a retention is below its lower bound, or if
    none is set.
    """
    refused, found = list(_refusals(settings)), []
    for kind, retention in RETENTIONS.items():
        keep = getattr(settings, retention.setting)
        if keep is not None:
            before = now - keep.span
            if kind is RetentionKind.EVENTS:
                # Only whole months are archived and removed.
                before = before.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
            if kind is RetentionKind.KEYS and oldest_month is not None:
                before = min(before, oldest_month)
            found.append(RetentionStep(kind, keep, before))
    if refused:
        raise InvalidInput("; ".join(refused))
    if not found:
        proposed = " ".join(f"{_name(one.setting)}={one.proposal}" for one in RETENTIONS.values() if one.proposal)
        raise InvalidInput(f"no retention is set, so that nothing is removed; proposed: {proposed}")
    return found


def unset(settings: Settings) -> list[str]:
    """Return the names of the settings without a retention."""
    return [_name(one.setting) for one in RETENTIONS.values() if getattr(settings, one.setting) is None]


def _refusals(settings: Settings) -> Iterable[str]:
    for retention in RETENTIONS.values():
        keep = getattr(settings, retention.setting)
        if keep is not None and keep.span < timedelta(hours=retention.least_hours):
            yield f"{_name(retention.setting)} is {keep}; at least {retention.least_hours}h: {retention.why}"
    minutes, hours = settings.keep_minute_windows, settings.keep_hour_windows
    if minutes is not None and hours is not None and hours.span < minutes.span:
        yield f"BRIDGE_KEEP_HOUR_WINDOWS is {hours}; at least BRIDGE_KEEP_MINUTE_WINDOWS, {minutes}"
    if settings.keep_events is not None and not settings.store_url:
        yield "BRIDGE_KEEP_EVENTS is set, and BRIDGE_STORE_URL is not: events are removed only once they are archived there"


def _name(setting: str) -> str:
    return f"BRIDGE_{setting.upper()}"
