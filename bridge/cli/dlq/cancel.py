"""`bridge dlq cancel`: stops a replay permanently; dead letters that it has not sent are open again."""

from typing import Annotated

import typer

from bridge.cli.common import JsonOutput, Verbose, command_settings, given_reason, run, seconds_of
from bridge.cli.dlq.replays import PlanId, end_replay, found_plan, print_result
from bridge.cli.jobs import Reason
from bridge.jobs.cancel import cancel_job
from bridge.jobs.frame import RunOptions


def cancel(
    plan_id: PlanId,
    reason: Reason,
    wait: Annotated[str, typer.Option(metavar="30s", help="Most time to wait for the plan's run to stop.")] = "30s",
    json_output: JsonOutput = None,
    verbose: Verbose = False,
) -> None:
    """Stop a replay permanently; dead letters that it has not sent are open again."""
    settings = command_settings(verbose=verbose)
    said, seconds = given_reason(reason), seconds_of("--wait", wait)
    found = run(found_plan(settings, plan_id))
    job = cancel_job(settings, found.replay_id, said, seconds)
    end_replay(job, settings, RunOptions(found.replay_id, json_output=json_output), print_result, partial=True)
