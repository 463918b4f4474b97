"""Dry run of dead letters through today's code: a forecast for each item, and the report of a whole replay plan.

A replay plan is a stored list of dead letters to send again. Each of them is an item of the plan. An item's forecast
is the outcome that the item would have if it were sent now.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

from bridge.jobs.looks import Look, looked_after
from bridge.jobs.replacements import Replacements
from schemas.config.settings import Settings
from schemas.documents.replay import DeadLetterItem, Example, Forecast, Plan, PlanReport
from schemas.pipeline.outcome import Attempt, Candidate, Normalized, Outcomes
from schemas.pipeline.record import LEDGER_TOPIC, Batch, CarriedRecord, TopicPartition
from schemas.pipeline.registry import Registry
from schemas.reasons import DroppedReason, ErrorClass
from sinks.cooperative import Share
from sinks.postgres.audit.snapshot import KEYS_KEPT
from sinks.postgres.connection import Connection
from sinks.postgres.registry.cache import RegistryCache
from sinks.postgres.replay_items.items import (
    note_forecasts,
    page_end,
    persisted_events,
    persisted_keys,
    read_items,
)
from sinks.postgres.schema.monthly_partitions import months_attached
from sinks.postgres.sink import PostgresSink
from streams.pipeline.normalize import bounds_of
from streams.pipeline.trust import GatewayTrust
from streams.rules.correction import Correction
from streams.rules.replay_rules import Judgement, Terms, judge, known_to_the_store

PAGE: Final = 2000
EXAMPLES: Final = 10
MOST_TRIED: Final = 1000
"""Most rejected rows to insert again. Each row that Postgres rejects again costs a bisection of its batch."""

_AGES: Final = (("under 1 hour", 1 / 24), ("under 1 day", 1), ("under 7 days", 7), ("under 30 days", 30))
# Quoted text and numbers differ between errors of the same kind.
_VARIES = re.compile(r"'[^']*'|\"[^\"]*\"|\b\d+\b")


@dataclass
class DryRun:
    """Forecasts the outcomes of a replay plan's items (its dead letters), in the plan's order, and changes nothing.

    `share` limits how long the dry run may occupy the event loop. `look` is called every second, and raises an error if
    the dry run must end. At first it only raises an error once the database session of `conn` has ended.
    """

    settings: Settings
    conn: Connection
    correction: Correction
    terms: Terms
    registry: Registry
    share: Share
    look: Look = field(init=False)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    _seen: set[bytes] = field(default_factory=set)
    _tried: int = 0

    def __post_init__(self) -> None:
        self.look = partial(self.conn.execute, "SELECT 1")

    @classmethod
    async def prepared(
        cls,
        settings: Settings,
        conn: Connection,
        correction: Correction,
        replay_id: str,
        share: Share,
        *,
        force: bool,
        org_id: int | None,
    ) -> "DryRun":
        """Build a dry run of a plan with the current registry and the current monthly partitions.

        `org_id` is the plan's organisation, if the plan has one.
        """
        registry = await RegistryCache.loaded(settings)
        trust = GatewayTrust(settings.proof_keys, registry.legacy_until_ms)
        terms = Terms(replay_id, force, settings.replay_max_lives, await months_attached(conn), org_id, trust)
        return cls(settings, conn, correction, terms, registry.current, share)

    @classmethod
    async def of_plan(cls, settings: Settings, conn: Connection, plan: Plan, share: Share, *, force: bool) -> "DryRun":
        """Build a dry run of a stored plan."""
        correction = Correction(plan.corrections)
        return await cls.prepared(settings, conn, correction, plan.replay_id, share, force=force, org_id=plan.org_id)

    async def judge(self, items: Sequence[DeadLetterItem]) -> list[Judgement]:
        """Return the forecast (the outcome if sent now) of each plan item, a dead letter.

        Items of earlier calls count as sent before the items of this call, so the same event is then a duplicate.
        """
        judged = await looked_after(self._computed(items), self.look)
        keys = await persisted_keys(self.conn, [one.claim for one in judged if one.claim is not None])
        beyond = await self._beyond_horizon(judged, keys)
        return await self._tried_again([known_to_the_store(one, keys, beyond, self._seen) for one in judged])

    async def _computed(self, items: Sequence[DeadLetterItem]) -> list[Judgement]:
        bounds = bounds_of(self.settings)
        terms, registry = self.terms, self.registry
        judged = []
        for item in items:
            one = await self.share.finish(judge(item, self.correction, terms, registry, bounds))
            # An event's text takes up to four times the memory of its bytes.
            judged.append(one if _was_rejected(item) else one._replace(event=None))
        return judged

    def is_beyond_horizon(self, item: DeadLetterItem) -> bool:
        """Return whether the dedup keys from the time when the item was received may have been pruned.

        If so, the key table does not show whether the item is a duplicate. Only a search of the event table does.
        """
        return item.received_at < self.now - KEYS_KEPT

    async def _beyond_horizon(self, judged: Sequence[Judgement], keys: Collection[bytes]) -> set[tuple[int, str]]:
        """Return the site and event id of the items that are persisted, although the key table lacks their dedup keys.

        The search of the event table begins one retention period of keys before the oldest item was received. Two
        events that are further apart than this period never counted as duplicates.
        """
        events, received = [], []
        for item, claim in ((one.item, one.claim) for one in judged if self.is_beyond_horizon(one.item)):
            if claim is not None and claim.key not in keys:
                events.append((claim.site_id, claim.event_id, None if claim.shared else claim.sender))
                received.append(item.received_at)
        if not events:
            return set()
        since = min(received) - KEYS_KEPT
        return await persisted_events(self.conn, events, since, self.now)

    async def _tried_again(self, judged: list[Judgement]) -> list[Judgement]:
        """Insert the rows that Postgres once rejected, to see if it still does; the transaction always rolls back."""
        refused_once = [one for one in judged if one.forecast is Forecast.PASSES and _was_rejected(one.item)][
            : MOST_TRIED - self._tried
        ]
        if not refused_once:
            return judged
        self._tried += len(refused_once)
        offered = [Outcomes(_NO_BATCH, [_candidate(one) for one in refused_once])]
        async with aclosing(PostgresSink(self.settings.dsn, self.settings.group)) as sink:
            found = await looked_after(sink.rejected(offered), self.look)
        errors = {one.candidate.key: f"sink_rejected_row: {one.error}" for one in found}
        same = Forecast.FAILS_THE_SAME
        return [
            one if one.claim is None or one.claim.key not in errors else one.instead(same, errors[one.claim.key])
            for one in judged
        ]


_NO_BATCH: Final = Batch(TopicPartition(LEDGER_TOPIC, 0), 0, 0, ())


def _was_rejected(item: DeadLetterItem) -> bool:
    return item.error_class == ErrorClass.SINK_REJECTED_ROW


def _candidate(judged: Judgement) -> Candidate:
    event, claim, body = judged.event, judged.claim, judged.body
    assert event is not None and claim is not None  # noqa: S101, PT018  # only normalised items are inserted
    record = CarriedRecord(LEDGER_TOPIC, 0, 0, 0, 1, body.key, body.value, body.headers)
    return Normalized(
        event,
        claim.key,
        Attempt(record, event.provenance, 1, event.received_at, 0, 0),
        claim.shared,
        event.site_id,
        event.sender,
    )


async def forecast_plan(dry_run: DryRun, replay_id: str, *, note: bool) -> PlanReport:
    """Return the report of a replay plan. An item is a dead letter of the plan.

    With `note`, the forecast of each item that would not be persisted is recorded in the plan.
    """
    counts = _Counts(dry_run.now, dry_run.terms)
    after, added, max_lives = 0, dry_run.correction.added, dry_run.settings.replay_max_lives
    while (up_to := await page_end(dry_run.conn, replay_id, after, PAGE, added)) is not None:
        judged = await dry_run.judge(await read_items(dry_run.conn, replay_id, after, up_to, max_lives=max_lives))
        await looked_after(counts.add_all(judged, dry_run.share), dry_run.look)
        if note:
            fail = {one.item.position: one.forecast.value for one in judged if one.forecast is not Forecast.PASSES}
            await note_forecasts(dry_run.conn, replay_id, fail)
        after = up_to
        # Otherwise the next page is judged while this one is still in memory.
        del judged
    return counts.report()


class _Counts:
    """Counters of a report while it is built."""

    def __init__(self, now: datetime, terms: Terms) -> None:
        self._now = now
        self._terms = terms
        self._counters: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._examples: list[Example] = []
        self._replacements = Replacements()
        self._items = 0

    async def add_all(self, judged: Sequence[Judgement], share: Share) -> None:
        for one in judged:
            await share.do(partial(self.add, one))

    def add(self, one: Judgement) -> None:
        item, count = one.item, self._counters
        self._items += 1
        count["by_forecast"][one.forecast.value] += 1
        if self._terms.excludes_site_of(item):
            # The site has been given to another organisation, which alone may see what it drops.
            count["refusals"][one.why] += 1
            return
        count["by_reason"][_reason(item)] += 1
        count["by_site"]["unknown" if item.site_id is None else str(item.site_id)] += 1
        count["by_age"][_age(self._now - item.received_at)] += 1
        if one.forecast in (Forecast.FAILS_THE_SAME, Forecast.FAILS_OTHERWISE):
            count["failures"][_VARIES.sub("…", one.why)] += 1
        if one.forecast is Forecast.REFUSED:
            count["refusals"][one.why] += 1
        if one.forecast in (Forecast.FAILS_OTHERWISE, Forecast.REFUSED) and len(self._examples) < EXAMPLES:
            self._examples.append(Example(provenance=str(item.provenance), why=one.why))
        self._replacements.add(one)

    def report(self) -> PlanReport:
        found = {name: dict(counter.most_common(50)) for name, counter in self._counters.items()}
        what = self._replacements
        return PlanReport(
            items=self._items,
            examples=self._examples,
            samples=what.samples,
            replaced=what.told(),
            warnings=what.warnings(),
            **found,
        )


def _reason(item: DeadLetterItem) -> str:
    if item.dropped_reason == DroppedReason.RETRY_EXHAUSTED:
        return f"{item.dropped_reason} ({item.error_class})"
    return item.dropped_reason or "none"


def _age(age: timedelta) -> str:
    return next((name for name, days in _AGES if age < timedelta(days=days)), "older")
