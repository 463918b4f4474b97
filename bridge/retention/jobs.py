"""`bridge retention plan|apply` as jobs: a plan counts what would be removed, and only a stored plan is applied."""

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

from bridge.archives.removing import verified_part
from bridge.jobs.frame import Job
from bridge.jobs.run import Run
from schemas.config.settings import Settings
from schemas.documents.run_summary import RetentionStepSummary, RetentionSummary, rfc3339
from schemas.errors import InvalidInput
from schemas.pipeline.retention import PlannedStep, RetentionKind, RetentionPlan
from sinks.postgres.connection import connection
from sinks.postgres.offsets.admin import stored_offsets
from sinks.postgres.retention.plans import (
    add_plan,
    counted,
    end_plan,
    find_plan,
    go_on,
    go_on_month,
    oldest_month,
    reviewed,
)
from streams.rules.retention import steps, unset

LOOK_SECONDS: Final = 1.0
"""Interval of reading the lag, in seconds."""


def plan_job(settings: Settings) -> Job[RetentionSummary]:
    """Return the job that counts what the settings' retentions would remove now, and stores this as a plan.

    A dry run stores no plan.
    """

    async def work(run: Run[RetentionSummary]) -> None:
        run.summary.unset = unset(settings)
        now = datetime.now(UTC)
        async with connection(settings.dsn, "retention") as conn:
            found = await counted(conn, steps(settings, now, await oldest_month(conn)))
            run.summary.steps = _summaries(found)
            if not run.dry_run:
                await run.begins()
                run.summary.plan_id = await add_plan(conn, run.summary.run_id, now, found)

    return Job("retention-plan", RetentionSummary, work, quiet=True)


def apply_job(settings: Settings, asked: str) -> Job[RetentionSummary]:
    """Return the job that removes the rows of the plan whose id begins with `asked`, and writes closing entries.

    Each batch is one transaction. After an interruption, run the same command again: it continues after the last batch.
    A dry run only shows the plan and how far it has come.
    """

    async def work(run: Run[RetentionSummary]) -> None:
        async with connection(settings.dsn, "retention") as conn:
            plan = await find_plan(conn, asked)
        run.summary.plan_id = plan.plan_id
        run.summary.steps = _summaries(plan.steps)
        if plan.applied_at is not None:
            run.summary.warnings.append(f"the plan was applied at {rfc3339(plan.applied_at)}; nothing was left to do")
        if run.dry_run or plan.applied_at is not None:
            return
        await run.begins()
        await _apply(settings, run, plan)

    return Job("retention-apply", RetentionSummary, work, quiet=True)


def run_job(settings: Settings) -> Job[RetentionSummary]:
    """Return the job that makes a plan and applies it, for schedulers.

    It does so only with the retentions of the plan that was applied last, because an operator has reviewed these.
    """

    async def work(run: Run[RetentionSummary]) -> None:
        now = datetime.now(UTC)
        async with connection(settings.dsn, "retention") as conn:
            wanted = steps(settings, now, await oldest_month(conn))
            if {one.kind.value: one.keep for one in wanted} != await reviewed(conn):
                raise InvalidInput(
                    "the last applied plan has other retentions than the settings, or there is none: run `bridge retention plan`, "
                    "review the plan, and apply it by its id"
                )
            found = await counted(conn, wanted)
            run.summary.steps = _summaries(found)
            if run.dry_run:
                return
            await run.begins()
            run.summary.plan_id = await add_plan(conn, run.summary.run_id, now, found)
            plan = await find_plan(conn, run.summary.plan_id)
        await _apply(settings, run, plan)

    return Job("retention-run", RetentionSummary, work, quiet=True)


async def _apply(settings: Settings, run: Run[RetentionSummary], plan: RetentionPlan) -> None:
    lag = _Lag(settings, run.tell)
    for number, step in enumerate(plan.steps):
        if step.ended_at is not None:
            continue
        with run.target(step.kind.value):
            while step.ended_at is None:
                await lag.wait()
                run.check_lock()
                before = step.rows_removed
                step = await _go_on(settings, plan, step, run.summary.run_id)
                run.summary.processed_total += step.rows_removed - before
                run.summary.steps[number] = _summary(step)
    if not run.summary.errors:
        await end_plan(settings.dsn, plan.plan_id)


async def _go_on(settings: Settings, plan: RetentionPlan, step: PlannedStep, run_id: str) -> PlannedStep:
    if step.kind is RetentionKind.EVENTS:
        return await go_on_month(settings.dsn, plan.plan_id, step, run_id, verified_part(settings))
    return await go_on(settings.dsn, plan.plan_id, step, run_id, settings.retention_batch_rows)


class _Lag:
    """Waits between two batches while workers have more unread records than the settings allow."""

    def __init__(self, settings: Settings, tell: Callable[[str], None]) -> None:
        self._settings = settings
        self._tell = tell
        self._looked = float("-inf")

    async def wait(self) -> None:
        """Return when the lag of the raw topic is within the limit; the lag is read at most once in LOOK_SECONDS."""
        most = self._settings.retention_max_lag
        if not most or time.monotonic() - self._looked < LOOK_SECONDS:
            return
        told = False
        while (unread := await self._unread()) > most:
            if not told:
                self._tell(
                    f"waiting until at most {most} records of {self._settings.topics.raw} are unread "
                    f"(BRIDGE_RETENTION_MAX_LAG); now {unread}"
                )
                told = True
            await asyncio.sleep(LOOK_SECONDS)
        self._looked = time.monotonic()

    async def _unread(self) -> int:
        raw = self._settings.topics.raw
        return sum(one.lag or 0 for one in await stored_offsets(self._settings) if one.topic == raw)


def _summaries(steps_: Iterable[PlannedStep]) -> list[RetentionStepSummary]:
    return list(map(_summary, steps_))


def _summary(step: PlannedStep) -> RetentionStepSummary:
    return RetentionStepSummary(
        kind=step.kind.value,
        keep=step.keep,
        before=rfc3339(step.before),
        rows=step.rows,
        bytes=step.bytes,
        rows_removed=step.rows_removed,
        bytes_removed=step.bytes_removed,
        ended=step.ended_at is not None,
    )
