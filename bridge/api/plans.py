"""Routes `/v1/plans`: create, list, show, replay and cancel plans."""

from typing import Annotated, Final

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from bridge.api.answers import documented, json_answer
from bridge.api.callers import Scope
from bridge.api.parameters import CancelBody, PlanBody, ReplayBody
from bridge.dead_letters.documents import status_document
from bridge.http.problems import Code, Problem
from bridge.jobs.frame import DONE
from schemas.documents.replay import PlanState, PlanSummary, ReplaySummary

plans: Final = APIRouter(prefix="/v1/plans", tags=["plans"])

PlanId = Annotated[
    str, Path(pattern="^[0-9A-Fa-f-]{4,36}$", description="the plan's id (`replay_id`), or a prefix of the id")
]

_CHANGES: Final = (Code.INVALID_REQUEST, Code.ROLE_TOO_LOW, Code.RUN_FAILED)
_A_PLAN: Final = (*_CHANGES, Code.UNKNOWN_PLAN)


@plans.post("", status_code=201, summary="Plan a replay: store its exact set of dead letters, and forecast what today's code does with each",
            responses=documented(PlanSummary, *_CHANGES, Code.FILTER_NEEDED, Code.NOTHING_FITS, Code.TOO_MANY_RUNS, Code.TOO_MANY_PLANS,
                                 status=201, changes=True)
            | documented(PlanSummary, status=200, description="a dry run; no plan was stored"))  # fmt: skip
async def plan(scope: Scope, body: PlanBody) -> Response:
    """Store the exact set of dead letters that a replay will send. Nothing is sent, and no dead letter changes.

    For operators. To store a plan of ten thousand dead letters takes about a second.
    """
    summary = await scope.plan(body)
    if body.dry_run:
        return json_answer(summary)
    return json_answer(summary, 201, {"location": f"/v1/plans/{summary.replay_id}"})


@plans.get("", summary="The newest plans", responses=documented("Plans", Code.INVALID_REQUEST))
async def list_(
    scope: Scope, limit: Annotated[int, Query(ge=1, le=100, description="most plans to show")] = 20
) -> Response:
    """Return a summary of each plan (a stored set of dead letters to replay), without its filter and report.

    The route of one plan also returns the plan's filter, corrections, report and outcomes.
    """
    return json_answer({"plans": [one._asdict() for one in await scope.plans(limit)]})


@plans.get("/{plan_id}", summary="One plan: its items, their outcomes, and its progress",
           responses=documented("Plan", Code.INVALID_REQUEST, Code.UNKNOWN_PLAN))  # fmt: skip
async def show(scope: Scope, plan_id: PlanId) -> Response:
    """Return one plan, its progress, and the outcomes of its dead letters.

    `running` is true while a replay of the plan is in flight. `resumable` is true if a stopped or killed replay of the
    plan can continue.
    """
    found = await scope.status(plan_id)
    begun = found.plan.state in (PlanState.RUNNING, PlanState.STOPPED)
    document = status_document(found.plan, found.became, running=found.running)
    return json_answer(document | {"resumable": begun and not found.running})


@plans.post("/{plan_id}/replay", status_code=202, summary="Send the plan's dead letters to the raw topic again",
            responses=documented("Begun", *_A_PLAN, Code.PLAN_RUNNING, Code.PLAN_CANCELLED, Code.PLAN_SENT,
                                 Code.CANARY_FAILED, Code.ANOTHER_RUN, Code.TOO_MANY_RUNS, status=202, changes=True)
            | documented(PlanSummary, status=200, description="a dry run; nothing was sent"))  # fmt: skip
async def replay(scope: Scope, plan_id: PlanId, body: ReplayBody) -> Response:
    """Send the plan's dead letters to the raw topic again, in the background; poll the plan for the outcomes.

    The replay has begun when the response is sent. If the replay is stopped or killed, or the service ends, repeat the
    request: the replay continues. For operators.
    """
    if body.canary and not body.wait_seconds:
        raise Problem(Code.INVALID_REQUEST, "canary: the run waits for the canary; give wait_seconds of more than 0")
    if body.dry_run:
        return json_answer(await scope.rehearse(plan_id, force=body.force))
    replay_id, run_id = await scope.replay(plan_id, body)
    # `plan_id` is the former name, kept for existing clients. All other responses have `replay_id`.
    begun = {"replay_id": replay_id, "plan_id": replay_id, "run_id": run_id}
    return json_answer(begun, 202, {"location": f"/v1/plans/{replay_id}"})


@plans.post("/{plan_id}/cancel", summary="Cancel a plan and stop its replay; this is final",
            responses=documented(ReplaySummary, *_A_PLAN, Code.PLAN_SENT, Code.ANOTHER_RUN, changes=True)
            | documented(ReplaySummary, status=202, description="the plan is cancelled, but its run has not stopped yet"))  # fmt: skip
async def cancel(scope: Scope, plan_id: PlanId, body: CancelBody) -> Response:
    """Cancel a plan: its replay stops within seconds, and the dead letters that it has not sent are open again.

    For operators.
    """
    done = await scope.cancel(plan_id, body)
    return json_answer(done.summary, 200 if done.code == DONE else 202)
