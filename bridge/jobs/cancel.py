"""`bridge dlq cancel` as a job: stops a replay permanently, and reopens the dead letters that the replay has not sent.

A replay sends the dead letters of a plan, which are the plan's items, to the raw topic again.
"""

import asyncio
import time
from typing import Final

from bridge.jobs.frame import Job
from bridge.jobs.replay import count_outcomes
from bridge.jobs.run import Run
from schemas.config.service import Service
from schemas.config.settings import Settings
from schemas.documents.replay import Outcome, Plan, PlanState, ReplaySummary
from schemas.errors import BridgeError, InvalidInput, PreconditionFailed, SinkUnavailable
from schemas.pipeline.record import TopicPartition
from sinks.kafka.admin import log_bounds
from sinks.postgres.connection import Connection, connection
from sinks.postgres.offsets.admin import current_positions
from sinks.postgres.replay_items.items import let_go
from sinks.postgres.replays.plans import cancel, claims, claims_after, find_plan, is_left, outcomes, state_of
from sinks.postgres.runs.history import is_locked

LOOK_SECONDS: Final = 0.2

_PAGE: Final = 1000
_OVER: Final = (PlanState.CANCELLED, PlanState.SENT)


def lock_of(replay_id: str) -> str:
    """Return the name of the lock that a run of the replay plan `replay_id` holds."""
    return f"script:dlq-replay:{replay_id}"


def cancel_job(settings: Settings, replay_id: str, reason: str, wait: float) -> Job[ReplaySummary]:
    """Return the job that cancels one replay plan (a stored list of dead letters to send again, its items).

    `wait` is a time limit in seconds. Within this time the run that sends the plan must stop, and the job must know of
    each claimed item whether it was sent. A claimed item is one that the run has reserved for sending.
    """

    async def work(run: Run[ReplaySummary]) -> None:
        summary, deadline = run.summary, time.monotonic() + wait
        summary.reason = reason
        async with connection(settings.dsn, "replay") as conn:
            plan = await find_plan(conn, replay_id)
            summary.replay_id, summary.planned_total, summary.state = plan.replay_id, plan.planned, plan.state
            if plan.state is PlanState.SENT and not await is_left(conn, plan.replay_id):
                raise InvalidInput(_nothing_left(plan))
            if plan.state is not PlanState.CANCELLED or (await claims(conn, plan.replay_id)).claimed:
                await run.begins()
            await cancel(conn, plan.replay_id, reason)
            with run.target(f"replay:{plan.replay_id}"):
                await _stopped(conn, plan.replay_id, deadline)
                released = await _open_again(settings, run, conn, plan, deadline, reason)
                if not released and await is_left(conn, plan.replay_id):
                    # Another account may have marked the plan as sent although items are left.
                    await cancel(conn, plan.replay_id, reason, sent=True)
            summary.state = await state_of(conn, plan.replay_id)
            if summary.state is PlanState.SENT and not summary.errors:
                raise InvalidInput(_nothing_left(plan))
            found = await outcomes(conn, plan.replay_id, plan.org_id)
        count_outcomes(summary, found)
        summary.processed_total = summary.outcomes.get(Outcome.OPEN, 0)

    return Job("dlq-cancel", ReplaySummary, work, service=Service.API, quiet=True)


async def _stopped(conn: Connection, replay_id: str, deadline: float) -> None:
    while await is_locked(conn, lock_of(replay_id)):
        if time.monotonic() > deadline:
            raise BridgeError(
                "the plan's run has not stopped within --wait; check whether the run hangs, then cancel the plan again"
            )
        await asyncio.sleep(LOOK_SECONDS)


def _nothing_left(plan: Plan) -> str:
    return f"every item of the plan {plan.replay_id} was sent: nothing is left to cancel"


async def _open_again(
    settings: Settings, run: Run[ReplaySummary], conn: Connection, plan: Plan, deadline: float, reason: str
) -> int:
    """Release the claims of plan items that were certainly never sent; return the number of released claims.

    A claim reserves a dead letter (an item of the plan) for this replay. The plan's record of which items were sent
    does not decide. An item was never sent if all of these are true:

    - the plan's run has stopped;
    - the workers have since read the raw topic up to its end;
    - the item is still claimed.

    In one case no claim is released: the plan had not ended, and its run recorded every claimed item as sent. The
    workers are then about to commit these items.
    """
    claimed, in_doubt = await claims(conn, plan.replay_id)
    if not claimed:
        return 0
    if plan.state not in _OVER and not in_doubt:
        run.warn(
            f"{claimed} items that were sent have no outcome yet; if some never get one, cancel the plan again: "
            "this reopens the items that were never sent"
        )
        return 0
    try:
        # A record of the run may be behind another producer's open transaction: no worker has read it yet.
        bounds = await log_bounds(settings, [settings.topics.raw], past_open_transactions=True)
        ends = {source: log.end for source, log in bounds.items()}
    except PreconditionFailed as error:
        # A PreconditionFailed would be recorded as an error of this plan, and its text contains names of hosts.
        raise SinkUnavailable(str(error)) from error
    while not await _read_up_to(conn, settings.group, ends):
        if time.monotonic() > deadline:
            raise BridgeError(
                f"it is not known yet whether {claimed} items that the plan's run had claimed were sent; wait until the "
                "workers have read the raw topic up to its present end, then cancel the plan again"
            )
        await asyncio.sleep(LOOK_SECONDS)
    return await _let_all_go(conn, plan.replay_id, reason)


async def _let_all_go(conn: Connection, replay_id: str, reason: str) -> int:
    """Release all claims of the plan, in pages, since accounts may write any number of them; return their number."""
    released = after = 0
    while True:
        async with conn.transaction():
            claimed, after = await claims_after(conn, replay_id, after, _PAGE)
            if not claimed:
                return released
            # Postgres lets an account release another's claims only if the plan is cancelled; it may be marked as sent.
            await cancel(conn, replay_id, reason, sent=True)
            released += await let_go(conn, replay_id, claimed)


async def _read_up_to(conn: Connection, group: str, ends: dict[TopicPartition, int]) -> bool:
    positions = await current_positions(conn, group, list(ends))
    # A partition that was never read has no position, and may be empty.
    return all(
        end == 0 or (source in positions and positions[source].next_offset >= end) for source, end in ends.items()
    )
