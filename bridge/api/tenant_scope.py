"""Tenant scope: a request whose token is bound to an organisation only reads and changes that organisation's data.

Routes reach Postgres only through the tenant scope, so no route can leave out this check.
"""

import asyncio
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import NamedTuple, TypeVar

import structlog

from bridge.api.authentication import Caller
from bridge.api.parameters import CancelBody, DiscardBody, GroupsQuery, ListQuery, PlanBody, ReplayBody
from bridge.api.runs import Runs
from bridge.dead_letters.sent_again import groups_looked_up
from bridge.http.problems import Code, Problem
from bridge.jobs.cancel import cancel_job, lock_of
from bridge.jobs.discard import discard_job
from bridge.jobs.frame import Performed
from bridge.jobs.plan import PlanOptions, plan_job, rehearsal_job
from bridge.jobs.replay import ReplayOptions, replay_job
from schemas.api_token import Role
from schemas.config.settings import Settings
from schemas.documents.dead_letter_filter import DeadLetterFilter, Disposition
from schemas.documents.replay import Plan, PlanLine, PlanReport, PlanState, PlanSummary, ReplaySummary
from schemas.documents.run_summary import DiscardSummary
from schemas.errors import InvalidInput, NoSuchThing, PreconditionFailed, RowRejected, SinkUnavailable
from schemas.pipeline.record import Provenance
from schemas.reasons import DroppedReason
from sinks.cooperative import Share
from sinks.postgres.connection import connection
from sinks.postgres.dead_letters.causes import with_whole_causes
from sinks.postgres.dead_letters.groups import Groups
from sinks.postgres.dead_letters.letter import WholeDeadLetter
from sinks.postgres.dead_letters.lives import Life, Shown, State, show
from sinks.postgres.dead_letters.pages import Page, Place, count, page
from sinks.postgres.dead_letters.stream import whole_letters
from sinks.postgres.replays.plans import FOREIGN, Became, Held, find_plan, is_left, list_plans, outcomes
from sinks.postgres.runs.history import is_locked, without_host
from sinks.postgres.tokens.api_tokens import ApiTokenRow, list_api_tokens

log = structlog.get_logger(__name__)


class Status(NamedTuple):
    """A plan, the outcomes of its dead letters, and whether any process runs the plan's replay now."""

    plan: Plan
    became: list[Became]
    running: bool


P = TypeVar("P", Plan, PlanLine)


class TenantScope:
    """What the caller may read and change. Every failure is raised as Problem."""

    def __init__(self, settings: Settings, runs: Runs, caller: Caller) -> None:
        self._settings = settings
        self._runs = runs
        self.caller = caller

    @property
    def share(self) -> Share:
        """Return the limiter that bounds how long the request's work occupies the event loop."""
        return self._runs.share.of(self.caller.org_id)

    def narrowed(self, chosen: DeadLetterFilter) -> DeadLetterFilter:
        """Return the filter, limited to the caller's organisation if the caller has one."""
        mine = self.caller.org_id
        if mine is None:
            return chosen
        return chosen.model_copy(
            update={"org_ids": (mine,) if chosen.org_ids is None or mine in chosen.org_ids else ()}
        )

    async def _meant(self, chosen: DeadLetterFilter) -> DeadLetterFilter:
        """Return the filter of dead letters, limited to the caller's organisation, with whole ids of causes.

        A cause is the group of dead letters with one reason and message. A caller may give a prefix of its id.
        """
        return await with_whole_causes(self._settings.dsn, self.narrowed(chosen))

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        """Query Postgres within the block, with a time limit; every error is raised as Problem."""
        seconds = self._settings.api_query_timeout.seconds
        try:
            async with asyncio.timeout(seconds):
                yield
        except TimeoutError:
            raise Problem(
                Code.QUERY_TIMEOUT, f"Postgres did not answer within {seconds:g} s; narrow the filter"
            ) from None
        except NoSuchThing as error:
            raise Problem(Code.NOTHING_FITS, str(error)) from None
        except InvalidInput as error:
            raise Problem(Code.INVALID_REQUEST, str(error)) from None
        except RowRejected as error:
            log.info("value_refused", error=str(error))
            raise Problem(Code.INVALID_REQUEST, "Postgres does not accept one of the values") from None
        except (SinkUnavailable, PreconditionFailed) as error:
            log.warning("services_away", error=str(error))
            raise Problem(Code.SERVICES_AWAY) from None

    async def page(self, query: ListQuery) -> Page:
        """Return a page of dead letters."""
        async with self.asking():
            after = None if query.after is None else Place.parse(query.after)
            return await page(self._settings.dsn, await self._meant(query.chosen), limit=query.limit, after=after)

    async def groups(self, query: GroupsQuery) -> Groups:
        """Return dead letters by cause."""
        async with self.asking():
            return await groups_looked_up(
                self._settings, await self._meant(query.chosen), self.share, now=datetime.now(UTC),
                hours=query.hours, limit=query.limit,
            )  # fmt: skip

    async def letter(self, provenance: Provenance) -> Shown:
        """Return a whole dead letter, with its replays.

        If a correction gave a replayed event to another organisation, only the topic, partition and offset of that
        replay are returned.
        """
        async with self.asking():
            found = await show(self._settings.dsn, provenance, org_id=self.caller.org_id)
        if found is None:
            raise Problem(Code.UNKNOWN_DEAD_LETTER)
        return found._replace(lives=[self._known(one) for one in found.lives])

    def _known(self, one: Life) -> Life:
        return one if self._is_mine(one.org_id) else Life(one.provenance, State.UNKNOWN, None, None, None)

    def _is_mine(self, org_id: int | None) -> bool:
        return self.caller.org_id is None or org_id == self.caller.org_id

    async def whole(self, chosen: DeadLetterFilter) -> AsyncGenerator[list[WholeDeadLetter], None]:
        """Return a generator of whole dead letters in batches; the caller must close it."""
        return whole_letters(self._settings.dsn, await self._meant(chosen))

    async def discard(self, body: DiscardBody) -> DiscardSummary:
        """Discard open dead letters that were dropped before the request."""
        self.caller.must_be(Role.OPERATOR)
        chosen = body.filter.chosen
        self._check_named(chosen, everything=body.all)
        if chosen.disposition is not None and Disposition.OPEN not in chosen.disposition:
            raise Problem(
                Code.INVALID_REQUEST, "filter.disposition: only open dead letters can be discarded; leave it out"
            )
        if chosen.until is None:
            chosen = chosen.model_copy(update={"until": datetime.now(UTC)})
        async with self.asking():
            mine = await self._meant(chosen)
        if chosen.provenance is not None:
            await self._check_exist(chosen.provenance)
        scope = "dead-letters" if self.caller.org_id is None else f"dead-letters:org:{self.caller.org_id}"
        job = discard_job(self._settings, mine, body.reason, persisted=body.persisted)
        return (await self._runs.finish(job, self.caller, scope, dry_run=body.dry_run)).summary

    def _check_named(self, chosen: DeadLetterFilter, *, everything: bool) -> None:
        """Raise Problem if the filter is empty, unless an admin has set `all`."""
        # A filter that only names the caller's own organisation does not narrow anything.
        of_mine = chosen if self.caller.org_id is None else chosen.model_copy(update={"org_ids": None})
        if of_mine.names_nothing:
            if not everything:
                raise Problem(Code.FILTER_NEEDED, "give a `filter`, or `all` for all open dead letters")
            self.caller.must_be(Role.ADMIN)

    async def _check_exist(self, places: Sequence[str]) -> None:
        """Check that all named dead letters exist. Those of other organisations count as missing."""
        named = DeadLetterFilter(provenance=tuple(places), disposition=None, dropped_reason=tuple(DroppedReason))
        async with self.asking():
            found = sum((await count(self._settings.dsn, self.narrowed(named))).values())
        if missing := len(set(places)) - found:
            detail = f"{missing} dead letters of filter.provenance don't exist, or the token has no access to them"
            raise Problem(Code.UNKNOWN_DEAD_LETTER, detail)

    async def plan(self, body: PlanBody) -> PlanSummary:
        """Store a plan, which belongs to the caller's organisation."""
        self.caller.must_be(Role.OPERATOR)
        chosen = body.filter.chosen
        self._check_named(chosen, everything=body.all)
        replay_id = uuid.uuid4()
        async with self.asking():
            correction = body.correction()
            mine = await self._meant(chosen)
        settings = self._settings
        most = Held(
            settings.api_kept_plans_per_org, settings.api_kept_plan_items_per_org, settings.api_kept_plan_bytes_per_org
        )
        options = PlanOptions(mine, correction, body.reason, body.limit, body.passing, self.caller.org_id, most)
        job = plan_job(self._settings, options, replay_id)
        return (await self._runs.forecast(job, self.caller, str(replay_id), dry_run=body.dry_run)).summary

    async def plans(self, limit: int) -> list[PlanLine]:
        """Return the latest plans, the newest first."""
        async with self.asking():
            found = await list_plans(self._settings.dsn, limit, org_id=self.caller.org_id)
        return [_without_hosts(one) for one in found]

    async def status(self, plan_id: str) -> Status:
        """Return the plan whose id begins with `plan_id`, and its progress."""
        async with self.asking(), connection(self._settings.dsn, "replay") as conn:
            try:
                found = await find_plan(conn, plan_id, org_id=self.caller.org_id)
            except NoSuchThing:
                raise Problem(Code.UNKNOWN_PLAN) from None
            became = await outcomes(conn, found.replay_id, self.caller.org_id)
            if any(one.why == FOREIGN for one in became):
                found = _without_details(found)
            return Status(_without_hosts(found), became, await is_locked(conn, lock_of(found.replay_id)))

    async def _to_change(self, plan_id: str) -> Status:
        self.caller.must_be(Role.OPERATOR)
        return await self.status(plan_id)

    async def rehearse(self, plan_id: str, *, force: bool) -> PlanSummary:
        """Return what today's code would do with each dead letter of the plan, if the plan were replayed now."""
        found = (await self._to_change(plan_id)).plan.replay_id
        job = rehearsal_job(self._settings, found, force=force)
        return (await self._runs.forecast(job, self.caller, found, dry_run=True)).summary

    async def replay(self, plan_id: str, body: ReplayBody) -> tuple[str, str]:
        """Begin or continue the plan's replay; returns the ids of the plan and of the run."""
        plan, _, running = await self._to_change(plan_id)
        if body.force:
            self.caller.must_be(Role.ADMIN)
        if running:
            raise Problem(Code.PLAN_RUNNING)
        if plan.state is PlanState.CANCELLED:
            raise Problem(Code.PLAN_CANCELLED, f"the plan was cancelled by {plan.ended_by}; make a new one")
        if plan.state is PlanState.SENT:
            raise Problem(Code.PLAN_SENT)
        options = ReplayOptions(
            plan.replay_id, body.rate_per_second or 0.0, body.canary, body.canary_max_failures, body.wait_seconds,
            body.force,
        )  # fmt: skip
        try:
            job = replay_job(self._settings, options)
            return plan.replay_id, await self._runs.begin_replay(job, self.caller, plan.replay_id)
        except Problem as problem:
            if problem.code is Code.ANOTHER_RUN:
                raise Problem(Code.PLAN_RUNNING) from None
            raise

    async def cancel(self, plan_id: str, body: CancelBody) -> Performed[ReplaySummary]:
        """Cancel the plan, and stop its replay in whatever process it runs; return the run that did it.

        Its code is DONE if the replay ended and all items' outcomes were known within the time limit.
        """
        plan = (await self._to_change(plan_id)).plan
        if plan.state is PlanState.SENT and not await self._is_left(plan.replay_id):
            raise Problem(Code.PLAN_SENT, "every item of the plan was sent; nothing is left to cancel")
        job = cancel_job(self._settings, plan.replay_id, body.reason, body.wait_seconds)
        try:
            return await self._runs.finish(job, self.caller, plan.replay_id)
        except Problem:
            # The items that the run had claimed were sent after all.
            if (await self.status(plan.replay_id)).plan.state is PlanState.SENT:
                raise Problem(Code.PLAN_SENT, "every item of the plan was sent; nothing is left to cancel") from None
            raise

    async def _is_left(self, replay_id: str) -> bool:
        async with self.asking(), connection(self._settings.dsn, "replay") as conn:
            return await is_left(conn, replay_id)

    async def tokens(self) -> list[ApiTokenRow]:
        """Return the tokens of the caller's organisation; all tokens if the caller is bound to none."""
        self.caller.must_be(Role.ADMIN)
        async with self.asking():
            found = await list_api_tokens(self._settings.dsn, org_id=self.caller.org_id)
        return [
            one._replace(created_by=without_host(one.created_by), revoked_by=without_host(one.revoked_by or "") or None)
            for one in found
        ]


def _without_details(plan: Plan) -> Plan:
    """Return the plan with only the totals of its report, because a part of its dead letters are another's now."""
    report = PlanReport.model_validate(plan.report)
    told = PlanReport(
        items=report.items,
        by_forecast=report.by_forecast,
        warnings=["some of the plan's sites belong to another organisation now; details are left out"],
    )
    return plan._replace(report=told.model_dump(mode="json"))


def _without_hosts(plan: P) -> P:
    """Return the plan without the names of hosts, which clients must not see."""
    return plan._replace(requested_by=without_host(plan.requested_by), ended_by=without_host(plan.ended_by))
