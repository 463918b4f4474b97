"""Plans of retention in Postgres: how many rows a plan removes, its steps, and how far each step has come."""

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from schemas.errors import InvalidInput, RunLocked
from schemas.pipeline.archive import ArchivedPart
from schemas.pipeline.retention import PlannedStep, Removed, RetentionKind, RetentionPlan, RetentionStep
from sinks.postgres.archives.month import Month
from sinks.postgres.connection import Connection, connection, fetch
from sinks.postgres.id_prefixes import MOST_NAMED, SHORTEST, only
from sinks.postgres.records import named
from sinks.postgres.removals.batches import remove_batch
from sinks.postgres.removals.months import next_month, quoted, remove_month
from sinks.postgres.runs.history import started_by
from sinks.postgres.statements import sql
from sinks.postgres.table_locks import locking

_FROM: Final = re.compile(r"FROM \('([^']+)'\)")
_ORDER: Final = list(RetentionKind)


async def oldest_month(conn: Connection) -> datetime | None:
    """Return the begin of the oldest month whose partition has events; None if there is no event.

    A default partition may have events of any time, so that no month is the oldest then: the first day of year 1.
    """
    found = []
    for row in await conn.fetch(sql("partitions_attached")):
        bound = _FROM.search(row["bounds"])
        begin = datetime.fromisoformat(bound[1] if bound else "0001-01-02 00:00:00+00")
        found.append((begin, row["name"]))
    for begin, name in sorted(found):
        if await conn.fetchval(sql("partition_filled") % {"name": quoted(name)}):
            return begin
    return None


async def _before(conn: Connection, step: PlannedStep) -> datetime:
    # A month that was attached after the plan was made keeps its keys.
    month = await oldest_month(conn) if step.kind is RetentionKind.KEYS else None
    return step.before if month is None else min(step.before, month)


async def counted(conn: Connection, steps: Sequence[RetentionStep]) -> list[PlannedStep]:
    """Return the steps with the numbers of rows that they would remove now, and the sizes of these rows."""
    planned = []
    async with conn.transaction(readonly=True):
        await conn.execute(sql("retention_session"))
        for one in steps:
            row = await _count(conn, one)
            planned.append(PlannedStep(*one, row["rows"], row["bytes"]))
    return planned


async def _count(conn: Connection, step: RetentionStep) -> Any:
    match step.kind:
        case RetentionKind.LEDGER:
            return await conn.fetchrow(sql("count_ledger"), step.before)
        case RetentionKind.PAYLOADS:
            return await conn.fetchrow(sql("count_payloads"), step.before)
        case RetentionKind.MINUTE_WINDOWS:
            return await conn.fetchrow(sql("count_windows"), step.before, "hour", 60)
        case RetentionKind.HOUR_WINDOWS:
            return await conn.fetchrow(sql("count_windows"), step.before, "day", 1440)
        case RetentionKind.EVENTS:
            return await conn.fetchrow(sql("count_events"), step.before)
        case RetentionKind.KEYS:
            return await conn.fetchrow(sql("count_keys"), step.before)
        case RetentionKind.RUNS:
            return await conn.fetchrow(sql("count_runs"), step.before)


async def add_plan(conn: Connection, run_id: str, now: datetime, steps: Sequence[PlannedStep]) -> str:
    """Store a plan with these steps; return its id."""
    plan_id = str(uuid4())
    async with conn.transaction():
        await conn.execute(sql("retention_plan_add"), plan_id, now, started_by(), run_id)
        for one in steps:
            await conn.execute(sql("retention_step_add"), plan_id, one.kind, one.keep, one.before, one.rows, one.bytes)
    return plan_id


async def find_plan(conn: Connection, asked: str) -> RetentionPlan:
    """Return the plan whose id begins with `asked`; raises InvalidInput unless exactly one does."""
    wanted = asked.strip().lower()
    rows = await conn.fetch(sql("retention_find"), wanted, MOST_NAMED + 1) if len(wanted) >= SHORTEST else []
    only("plan of retention", asked, [row["plan_id"] for row in rows], "bridge retention list")
    steps = [_step(row) for row in await conn.fetch(sql("retention_steps"), rows[0]["plan_id"])]
    return named(RetentionPlan, rows[0], steps=tuple(sorted(steps, key=lambda one: _ORDER.index(one.kind))))


def _step(row: Any) -> PlannedStep:
    try:
        kind = RetentionKind(row["kind"])
    except ValueError:
        raise InvalidInput(
            f"the plan has a step {row['kind']!r}, which this release can't do; make a new plan"
        ) from None
    position = None if row["position"] is None else json.loads(row["position"])
    return PlannedStep(**{**row, "kind": kind, "position": position})


async def reviewed(conn: Connection) -> dict[str, str]:
    """Return the retentions, by kind, of the plan that was applied last."""
    return {row["kind"]: row["keep"] for row in await conn.fetch(sql("retention_reviewed"))}


async def list_plans(dsn: str, limit: int) -> list[Any]:
    """Return the newest plans with the sums of their steps, at most `limit`."""
    return await fetch(dsn, "retention", sql("retention_list"), limit)


async def go_on(dsn: str, plan_id: str, step: PlannedStep, run_id: str, most: int) -> PlannedStep:
    """Remove the next batch of a step in one transaction; return the step as it is afterwards.

    The transaction removes the rows, writes their closing entries, and stores the position. If it fails, or the process
    is killed, none of this has happened.
    """
    async with connection(dsn, "retention") as conn, conn.transaction():
        await conn.execute(sql("retention_session"))
        step = step._replace(before=await _before(conn, step))
        done = await remove_batch(conn, step.kind, step.before, step.position, run_id, most)
        ended_at = await _note(conn, plan_id, step, done)
    return _gone_on(step, done, ended_at)


async def go_on_month(
    dsn: str, plan_id: str, step: PlannedStep, run_id: str, archived: Callable[[Month], Awaitable[ArchivedPart]]
) -> PlannedStep:
    """Remove the next month of a step of events in one transaction; return the step as it is afterwards.

    `archived` returns the verified part of a month's archive, and raises PreconditionFailed without one. It is called before the
    transaction. The transaction removes the rows only if they are exactly those of the part.
    """
    async with connection(dsn, "retention") as conn:
        month = await next_month(conn, step.before, step.position)
        part = None if month is None else await archived(month)

        async def work() -> tuple[Removed, Any]:
            done = Removed(0, 0, None)
            if month is not None and part is not None:
                done = await remove_month(conn, month, part, run_id)
            return done, await _note(conn, plan_id, step, done)

        name = f"the removal of {month}" if month else "retention"
        done, ended_at = await locking(dsn, conn, name, work)
    return _gone_on(step, done, ended_at)


async def _note(conn: Connection, plan_id: str, step: PlannedStep, done: Removed) -> Any:
    """Note in the caller's transaction how far the step has come; return when it was complete, None if it is not."""
    values = (_text(done.position), done.rows, done.bytes, done.position is None, _text(step.position))
    row = await conn.fetchrow(sql("retention_step_go_on"), plan_id, step.kind, *values)
    if row is None:
        raise RunLocked(f"another run has continued the plan {plan_id}; see `bridge runs list`")
    return row["ended_at"]


def _gone_on(step: PlannedStep, done: Removed, ended_at: datetime | None) -> PlannedStep:
    return step._replace(
        position=done.position,
        rows_removed=step.rows_removed + done.rows,
        bytes_removed=step.bytes_removed + done.bytes,
        ended_at=ended_at,
    )


def _text(position: dict[str, Any] | None) -> str | None:
    return None if position is None else json.dumps(position)


async def end_plan(dsn: str, plan_id: str) -> None:
    """Note that all steps of the plan are complete."""
    async with connection(dsn, "retention") as conn:
        await conn.execute(sql("retention_applied"), plan_id)
