"""Notifications when the quality gate's verdict (pass or fail) changes: a log line, and a call of the webhook.

The gate is the rule for which share of dropped and retried events is acceptable.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec
import structlog

from schemas.config.settings import Settings
from schemas.documents.gate import GateChange
from schemas.errors import RowRejected, SinkUnavailable
from sinks.postgres.gate.verdicts import Claim, standing_changes
from sinks.webhook import call_webhook

log = structlog.get_logger(__name__)

MOST: Final = 1000
"""The most records that one call checks, with one query to Postgres."""
_SHOWN = 2048
_SHOWN_REASONS = 500
_FIRST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 30.0


class _Record(msgspec.Struct):
    """The fields that are used of a record of the quality gate's topic. All other facts are read from Postgres."""

    target: str
    change_id: str


class GateNotifier:
    """The sender of notifications about changes of the quality gate's verdict (pass or fail).

    Any client with write access to the gate's topic can write verdicts to it, so only changes that Postgres confirms
    are sent. If Postgres does not confirm a change, the change is forged, or a later change has replaced it. The later
    change causes its own notification. Two successive records of the same change cause one notification.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._notified: dict[str, str] = {}

    async def tell(self, verdicts: Sequence[bytes | None]) -> None:
        """Send the notifications for these records of the quality gate's topic. Waits while Postgres is away.

        Null records, which are the tombstones of compacted keys, are ignored. Never raises, regardless of the records'
        content.
        """
        claims = _claims(verdicts)
        standing = {Claim(one.target, one.change_id): one for one in await self._standing(claims)}
        unknown = [one for one in claims if one not in standing]
        if unknown:
            first = unknown[0]
            log.warning("gate_verdict_unknown", count=len(unknown), target=first.target, change_id=first.change_id)
        for claim in claims:
            change = standing.get(claim)
            if change is not None and self._notified.get(claim.target) != claim.change_id:
                await self._tell(change)
                self._notified[claim.target] = claim.change_id

    async def _standing(self, claims: list[Claim]) -> list[GateChange]:
        """Return those changes of the quality gate's verdict that Postgres confirms.

        Waits while Postgres is away, because an unconfirmed change could be forged.
        """
        seconds = _FIRST_WAIT_SECONDS
        while claims:
            try:
                return await standing_changes(self._settings.dsn, claims)
            except SinkUnavailable as error:
                log.warning("gate_verdicts_wait", count=len(claims), error=str(error), retry_seconds=seconds)
                await asyncio.sleep(seconds)
                seconds = min(2 * seconds, _LONGEST_WAIT_SECONDS)
            except RowRejected:
                break
        return []

    async def _tell(self, change: GateChange) -> None:
        log.warning("gate_verdict", **change.model_dump())
        settings = self._settings
        if settings.worker_alert_webhook is None:
            return
        await call_webhook(
            settings.worker_alert_webhook.get_secret_value(),
            settings.webhook_secrets,
            "bridge.gate.passed" if change.passed else "bridge.gate.failed",
            change.model_dump() | {"reasons": "; ".join(change.reasons)[:_SHOWN_REASONS]},
            message_id=f"gate_{change.change_id}",
        )


def _claims(verdicts: Sequence[bytes | None]) -> list[Claim]:
    """Return the target (a site or the total) and the change id in each record of the quality gate's topic.

    Repetitions are left out. Records that can't be read are logged.
    """
    claims: dict[Claim, None] = {}
    unreadable: list[bytes] = []
    for verdict in verdicts:
        if verdict is None:
            continue
        try:
            record = msgspec.json.decode(verdict, type=_Record)
            if not (record.target.isprintable() and record.change_id.isprintable()):
                raise ValueError
        except (msgspec.MsgspecError, ValueError, RecursionError):
            unreadable.append(verdict)
        else:
            claims[Claim(record.target[:_SHOWN], record.change_id[:_SHOWN])] = None
    if unreadable:
        shown = unreadable[0][:_SHOWN].decode("utf-8", "replace")
        log.warning("gate_verdict_unreadable", count=len(unreadable), verdict=shown)
    return list(claims)
