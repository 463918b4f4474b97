"""`bridge dlq replay` as a job: reserves a plan's items (dead letters), publishes them, and awaits their outcomes."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, TypeAlias

from bridge.jobs.dry_run import DryRun
from bridge.jobs.frame import GIVES_WAY, Job
from bridge.jobs.looks import LOOK_SECONDS, looked_after
from bridge.jobs.pace import TURN_BYTES, Pace, turn_ended
from bridge.jobs.run import Run
from bridge.jobs.turns import Turns, items_of
from schemas.config.service import Service
from schemas.config.settings import Settings
from schemas.documents.replay import CANARY_FAILED, DeadLetterItem, Forecast, Outcome, Plan, PlanState, ReplaySummary
from schemas.errors import BreakerOpen, BridgeError, CanaryFailed, PreconditionFailed, SinkUnavailable
from schemas.pipeline.record import RawBody
from sinks.kafka.admin import group_has_members
from sinks.kafka.replay_publisher import Replayed, ReplayPublisher, publishing_replays
from sinks.postgres.breaker.state import read_breaker
from sinks.postgres.connection import Connection, connection
from sinks.postgres.replay_items.items import MOST_BYTES, claim, let_go, note_sent, page_end, read_items, skip
from sinks.postgres.replays import plans
from sinks.postgres.replays.plans import Became, find_plan, outcomes, state_of, summed
from streams.rules.correction import CorrectionFailed
from streams.rules.replay_rules import corrected, refusal

BATCH: Final = 1000
FINISH_SECONDS: Final = 15.0
"""Seconds that a stopped run may take to finish the batch in flight."""

WAITS: Final = (
    "a replay of another organisation runs in its place; it continues by itself when its turn comes, or by a repetition "
    "of the request if the service was restarted meanwhile"
)
"""The recorded reason of a run that was stopped in favour of another organisation's run."""

_OPEN_AGAIN: Final = "items of the plan were reopened or passed over by another account; run the replay again"
"""The recorded reason of a run that reached the end of its plan although the ledger shows unsent items."""

_KINDS: Final = {
    SinkUnavailable: "Postgres or Kafka did not answer",
    PreconditionFailed: "Postgres or Kafka is unreachable, or does not meet a requirement",
}
_Sorted: TypeAlias = tuple[dict[int, RawBody], dict[int, str], int]
_UNFINISHED: Final = (Outcome.UNSETTLED, Outcome.WAITING)


@dataclass(frozen=True)
class ReplayOptions:
    """Options of a replay: `rate` in items (dead letters) a second, `wait` for outcomes in seconds; 0 means none.

    The first `canary` items are sent and awaited before all others.
    """

    replay_id: str
    rate: float = 0.0
    canary: int = 0
    canary_max_failures: int = 0
    wait: float = 0.0
    force: bool = False


def replay_job(settings: Settings, options: ReplayOptions) -> Job[ReplaySummary]:
    """Return the job that sends a replay plan. Run it again after a stop or crash: it continues where it ended."""

    @asynccontextmanager
    async def taken_up(run: Run[ReplaySummary]) -> AsyncIterator[None]:
        plan: Plan | None = None
        because = "it was cut off"
        try:
            async with connection(settings.dsn, "replay") as conn:
                found = await find_plan(conn, options.replay_id)
                await _check_canary(conn, found, options)
                plan = found
                await plans.begin(conn, plan)
            yield
        except asyncio.CancelledError:
            because = WAITS if run.stopped_by == GIVES_WAY else "it was stopped"
            raise
        except BridgeError as error:
            because = _told_to_all(error, run)
            raise
        finally:
            if plan is not None:
                await _note_end(settings, run, plan, because)

    async def work(run: Run[ReplaySummary]) -> None:
        async with connection(settings.dsn, "replay") as conn, publishing_replays(settings) as publisher:
            replay = await _Replay.prepared(settings, options, run, conn, publisher)
            await replay.send()
            await replay.wait()
        _judge(run, await _became(settings, run, options.replay_id), waited=options.wait > 0)

    return Job("dlq-replay", ReplaySummary, work, within=taken_up, service=Service.API, quiet=True)


async def _check_canary(conn: Connection, plan: Plan, options: ReplayOptions) -> None:
    """Check the canary (the plan's items sent first); raises CanaryFailed if too many of them were dropped again."""
    first = max(options.canary, plan.published if plan.canary_failed else 0)
    dropped = summed(await plans.canary_outcomes(conn, plan.replay_id, first), Outcome.DROPPED)
    if (count := sum(dropped.values())) > options.canary_max_failures:
        raise CanaryFailed(
            f"the canary of the plan {plan.replay_id} has failed: {count} items were dropped again ({_words(dropped)}); correct "
            "the cause and make a new plan of the open items, or allow this many failures: canary_max_failures "
            f"(--canary-max-failures) {count}"
        )


@dataclass
class _Replay:
    options: ReplayOptions
    run: Run[ReplaySummary]
    publisher: ReplayPublisher
    plan: Plan
    dry_run: DryRun
    turns: Turns | None

    def __post_init__(self) -> None:
        self.settings, self.conn = self.dry_run.settings, self.dry_run.conn
        self.dry_run.look = self._look
        self.pace = Pace(self.options.rate, time.monotonic)
        self.sent_to = self.plan.sent_to
        self.turn_began = self.sent_to
        self.published = self.plan.published
        self.told_at = time.monotonic()

    @classmethod
    async def prepared(
        cls, settings: Settings, options: ReplayOptions, run: Run[ReplaySummary], conn: Connection, to: ReplayPublisher
    ) -> "_Replay":
        """Read the replay plan that is to be sent."""
        plan = await find_plan(conn, options.replay_id)
        dry_run = await DryRun.of_plan(settings, conn, plan, run.share, force=options.force)
        if not (has_workers := await group_has_members(settings)):
            run.warn("no worker reads the raw topic now: outcomes arrive only when a worker runs")
        turns = Turns(settings, conn, plan, run.tell) if has_workers else None
        return cls(options, run, to, plan, dry_run, turns)

    async def send(self) -> None:
        """Send the plan's unsent items (dead letters). If a canary is set, its items are sent first, and must pass."""
        left = self._is_left()
        if canary := min(self.options.canary, self.plan.planned):
            while self.published < canary and self._is_left():
                await self._batch(canary - self.published)
            await self._canary_passed(canary)
        while self._is_left():
            await self._batch(BATCH)
        await plans.end(self.conn, self.plan.replay_id, _OPEN_AGAIN)
        if not left:
            sent = f"{self.published} of {self.plan.planned}"
            self.run.tell(f"every item of the plan was sent by an earlier run ({sent}): nothing is sent again")
            return
        self._tell(at_once=True)
        if self.turns is not None:
            await turn_ended(self._in_flight, self._stay)

    async def wait(self) -> None:
        """Wait until the workers have committed every dead letter that was sent, for at most `options.wait` seconds."""
        deadline = time.monotonic() + self.options.wait
        while (asked := time.monotonic()) < deadline:
            counts = summed(await outcomes(self.conn, self.plan.replay_id))
            took = time.monotonic() - asked
            left = sum(counts.get(one, 0) for one in _UNFINISHED)
            if not left:
                return
            self._say(f"all sent; {left} not committed yet: {_words(counts)}")
            # To count a large plan takes database time that the workers need to commit its items.
            await asyncio.sleep(max(LOOK_SECONDS, 3 * took))

    def _is_left(self) -> bool:
        return self.sent_to < self.plan.last_position

    async def _batch(self, most: int) -> None:
        """Send the next batch of at most `most` dead letters. A run that is stopped meanwhile finishes the batch."""
        await self._look()
        await self._paced()
        # A turn is one batch.
        most = min(most, self.pace.batch(BATCH if self.turns is None else self.turns.share))
        batch = asyncio.create_task(self._send_batch(most))
        try:
            await asyncio.shield(batch)
        except asyncio.CancelledError:
            await asyncio.wait({batch}, timeout=FINISH_SECONDS)
            if not batch.cancel() and not batch.cancelled():
                batch.exception()
            raise
        self._tell()

    async def _send_batch(self, size: int) -> None:
        replay_id = self.plan.replay_id
        added = self.dry_run.correction.added
        most_bytes = MOST_BYTES if self.turns is None else TURN_BYTES
        up_to = await page_end(self.conn, replay_id, self.sent_to, size, added, most_bytes) or self.plan.last_position
        # Slow work is done before the rows are locked: workers that commit these rows wait for the locks.
        bodies, why, up_to = await self._sorted_out(await self._read(up_to), up_to)
        await self.run.begins()
        async with self.conn.transaction():
            if self.turns is not None and not await self.turns.may_claim():
                return
            items = await self._read(up_to, lock=True)
            why |= {one.position: said for one in items if (said := refusal(one, self.dry_run.terms)) is not None}
            ready = [(one, bodies[one.position]) for one in items if one.position in bodies and one.position not in why]
            records = [Replayed(item.provenance, body, item.replay_of is not None) for item, body in ready]
            free = [(item, one) for (item, _), one in zip(ready, records, strict=True) if item.replay_id != replay_id]
            await claim(self.conn, replay_id, [item for item, _ in free], [one for _, one in free])
            await skip(self.conn, replay_id, why)
        known = sum(self._was_sent(one) for one in items)
        refused = await self.publisher.publish(replay_id, records)
        await self._give_up(refused, {item.provenance: item.position for item, _ in ready})
        sent = len(records) - len(refused)
        await note_sent(self.conn, replay_id, up_to, sent + known)
        self.turn_began, self.sent_to = self.sent_to, up_to
        self.published += sent + known
        self.run.summary.sent_total += sent
        self.run.summary.processed_total += sent
        self.pace.sent(sent)

    async def _read(self, up_to: int, *, lock: bool = False) -> list[DeadLetterItem]:
        most = self.settings.replay_max_lives
        return await read_items(self.conn, self.plan.replay_id, self.sent_to, up_to, max_lives=most, lock=lock)

    def _was_sent(self, item: DeadLetterItem) -> bool:
        """Return whether a run of this plan has sent the dead letter already, perhaps without a record of that."""
        return item.replay_id == self.plan.replay_id and item.disposition == "replayed"

    async def _sorted_out(self, items: Sequence[DeadLetterItem], up_to: int) -> _Sorted:
        """Return the bodies of the items to send, why other items are not sent, and the last position of the turn.

        This is `up_to`, or less if the items count as more than a turn has.
        """
        bodies, why, up_to = await looked_after(self._corrected(items, up_to), self._look)
        # An item may be so old that the key table can't detect a duplicate. Then the events are searched for it.
        old = [one for one in items if one.position in bodies and self.dry_run.is_beyond_horizon(one)]
        for judged in await self.dry_run.judge(old):
            if judged.forecast is Forecast.REFUSED:
                why[judged.item.position] = judged.why
        return bodies, why, up_to

    async def _corrected(self, items: Sequence[DeadLetterItem], up_to: int) -> _Sorted:
        """Do what `_sorted_out` does, without a search for duplicates."""
        why: dict[int, str] = {}
        bodies: dict[int, RawBody] = {}
        counted = 0
        correction, terms, registry = self.dry_run.correction, self.dry_run.terms, self.dry_run.registry
        for item in (one for one in items if not self._was_sent(one)):
            if (problem := refusal(item, terms)) is not None:
                why[item.position] = problem
                continue
            try:
                body = await self.run.share.finish(corrected(item, correction, terms, registry))
            except CorrectionFailed as error:
                why[item.position] = str(error)
                continue
            counted += items_of(body)
            if self.turns is not None and bodies and counted > self.turns.share:
                return bodies, why, item.position - 1
            bodies[item.position] = body
        return bodies, why, up_to

    async def _give_up(self, refused: Sequence[Replayed], positions: dict[object, int]) -> None:
        if refused:
            provenances = [one.provenance for one in refused]
            await let_go(self.conn, self.plan.replay_id, provenances)
            why = "Kafka refuses the record, for example because of its size"
            await skip(self.conn, self.plan.replay_id, {positions[one]: why for one in provenances})

    async def _look(self) -> None:
        """Raise BridgeError if the plan was cancelled, the run's lock is lost, or the circuit breaker is open."""
        self.run.check_lock()
        if await state_of(self.conn, self.plan.replay_id) is PlanState.CANCELLED:
            raise BridgeError("the plan was cancelled meanwhile; items that were not sent stay open")
        brake = await read_breaker(self.conn, self.settings.group)
        if brake.engaged:
            raise BreakerOpen(
                f"the circuit breaker is open: {brake.reason}; see `bridge breaker status`, and run the replay again when it is closed"
            )

    async def _paced(self) -> None:
        while (seconds := self.pace.seconds_to_wait()) > 0:
            await asyncio.sleep(min(seconds, LOOK_SECONDS))
            await self._look()
        if self.turns is not None:
            await self.turns.begin(self._look)

    async def _stay(self) -> None:
        self.run.check_lock()

    async def _in_flight(self) -> int:
        return await plans.in_flight(self.conn, self.plan.replay_id, self.turn_began, self.sent_to)

    async def _canary_passed(self, canary: int) -> None:
        """Wait, at most `wait` s, for the outcomes of the first items; raises BridgeError if too many were dropped."""
        deadline = time.monotonic() + self.options.wait
        while True:
            found = await plans.canary_outcomes(self.conn, self.plan.replay_id, canary)
            counts = summed(found)
            rest = f"the other {max(0, self.plan.planned - self.published)} items stay open"
            if counts.get(Outcome.DROPPED, 0) > self.options.canary_max_failures:
                told = ", ".join(f"{reason} {count}" for reason, count in summed(found, Outcome.DROPPED).items())
                raise BridgeError(
                    f"{CANARY_FAILED}: of {canary} items {counts[Outcome.DROPPED]} were dropped again ({told}); {rest}"
                )
            if not any(counts.get(one) for one in _UNFINISHED):
                self.run.tell(f"the canary of {canary} passed: {_words(counts)}")
                return
            if time.monotonic() > deadline:
                raise BridgeError(f"the canary had no outcome within {self.options.wait:g} s: {_words(counts)}; {rest}")
            self._say(f"waiting for the canary of {canary}: {_words(counts)}")
            await asyncio.sleep(LOOK_SECONDS)
            await self._look()

    def _tell(self, *, at_once: bool = False) -> None:
        """Report progress: items sent, rate and remaining time."""
        left = self.plan.last_position - self.sent_to
        rate = self.pace.per_second()
        eta = f", about {left / rate:.0f} s left" if rate and left else ""
        share = 100 * self.sent_to / (self.plan.last_position or 1)
        self._say(f"{self.published} of {self.plan.planned} sent ({share:.1f} %), {rate:.0f}/s{eta}", at_once=at_once)

    def _say(self, message: str, *, at_once: bool = False) -> None:
        if at_once or time.monotonic() - self.told_at >= 2 * LOOK_SECONDS:
            self.told_at = time.monotonic()
            self.run.tell(message)


def _told_to_all(error: BridgeError, run: Run[ReplaySummary]) -> str:
    """Return why the run ended, for all who may read the plan: without hosts, accounts or other sites' details."""
    if type(error) is BridgeError:
        return str(error)
    if isinstance(error, BreakerOpen):
        return "the circuit breaker is open; run the replay again when it is closed"
    return f"{_KINDS.get(type(error), 'it failed')}; see `bridge runs show {run.summary.run_id}`"


async def _note_end(settings: Settings, run: Run[ReplaySummary], plan: Plan, because: str) -> None:
    """Record the end of the run in the replay plan and in the run's summary."""
    summary = run.summary
    summary.replay_id, summary.reason, summary.planned_total = plan.replay_id, plan.reason, plan.planned
    try:
        async with connection(settings.dsn, "replay") as conn:
            await plans.end(conn, plan.replay_id, because)
            summary.state = await state_of(conn, plan.replay_id)
        await _became(settings, run, plan.replay_id)
    except BridgeError as error:
        run.tell(f"warning: the run's end could not be recorded in the plan: {error}")


async def _became(settings: Settings, run: Run[ReplaySummary], replay_id: str) -> list[Became]:
    async with connection(settings.dsn, "replay") as conn:
        found = await outcomes(conn, replay_id)
    count_outcomes(run.summary, found)
    return found


def count_outcomes(summary: ReplaySummary, found: Sequence[Became]) -> None:
    """Fill in the summary's counts of the items' outcomes."""
    summary.outcomes = {Outcome(name): count for name, count in summed(found).items()}
    summary.dropped_by_reason = summed(found, Outcome.DROPPED)
    summary.skipped_by_reason = summed(found, Outcome.SKIPPED)


def _judge(run: Run[ReplaySummary], found: Sequence[Became], *, waited: bool) -> None:
    """Record a failure of each site with an item that was dropped again, is open or, if `waited`, not committed."""
    by_site: dict[int | None, list[Became]] = defaultdict(list)
    for one in found:
        by_site[one.site_id].append(one)
    for site_id, became in by_site.items():
        counts = summed(became)
        problems = [f"{count} dropped again: {reason}" for reason, count in summed(became, Outcome.DROPPED).items()]
        if count := counts.get(Outcome.OPEN):
            problems.append(f"{count} open: not sent, or reopened by another account; run the replay again")
        if waited:
            problems += [f"{counts[one]} {one.value}" for one in _UNFINISHED if counts.get(one)]
        with run.target("site:unknown" if site_id is None else f"site:{site_id}"):
            if problems:
                raise BridgeError("; ".join(problems))


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items()) or "nothing"
