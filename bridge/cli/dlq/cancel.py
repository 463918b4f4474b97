"""`bridge dlq cancel`: stops a replay permanently; dead letters that it has not sent are open again."""

from typing import Annotated

import typer

from bridge.cli.common import JsonOutput, Verbose, command_settings, given_reason, run, seconds_of
from bridge.cli.dlq.replays import PlanId, found_plan, perform_or_exit, print_result
from bridge.cli.stream.offsets import Reason
from bridge.jobs.cancel import cancel_job


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
    perform_or_exit(
        cancel_job(settings, found.replay_id, said, seconds),
        settings,
        found.replay_id,
        False,
        None,
        json_output,
        print_result,
    )
