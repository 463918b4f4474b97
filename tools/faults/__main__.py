"""`python -m tools.faults`: prints and runs the plans of one or more seeds, and reports the results.

Exit code: 0 if every promise held, 1 if one was broken, 2 for a wrong argument, 3 if a run proves nothing.
"""

import argparse
import asyncio
import json
import logging
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from support.infrastructure.servers import stack_directory

from schemas.errors import BridgeError
from tools.faults.catalogue import CATALOGUE
from tools.faults.plan import AT_LEAST, Plan, make_plan
from tools.faults.run import Result, Run


def say(line: str) -> None:
    print(line, flush=True)  # noqa: T201  # this is what a command line is for


def chosen(only: str, without: str, quick: bool) -> list[str]:
    """Select the faults by name; print those that this machine can't inject, and leave them out."""
    left_out = [name for name in without.split(",") if name]
    names = only.split(",") if only else [name for name, fault in CATALOGUE.items() if fault.quick or not quick]
    names = [name for name in names if name not in left_out]
    if unknown := [name for name in (*names, *left_out) if name not in CATALOGUE]:
        raise SystemExit(f"error: no such fault: {', '.join(unknown)}; there are: {', '.join(CATALOGUE)}")
    for name in names:
        if why := CATALOGUE[name].unfit():
            say(f"left out: {name}: {why}")
    return [name for name in names if not CATALOGUE[name].unfit()]


def told(plan: Plan, events: int) -> None:
    """Print the plan with its seed, by which it can be repeated."""
    say(f"plan of seed {plan.seed}: {events} events in {plan.seconds:g} s, {len(plan.acts)} faults")
    for line in plan.lines():
        say(line)


async def one(plan: Plan, events: int, workers: int, directory: Path) -> Result:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    if task is not None:
        loop.add_signal_handler(signal.SIGTERM, task.cancel)
    return await Run(plan, directory, events=events, workers=workers, say=say).carry_out()


def summary(result: Result) -> str:
    figures = {name: value for name, value in result.figures.items() if value}
    return json.dumps({"seed": result.plan.seed, "faults": result.bites, **figures})


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="faults", description="Breaks servers and workers under load, and checks that no event is lost."
    )
    parser.add_argument("--seed", type=int, default=1, help="of the first plan")
    parser.add_argument("--seeds", type=int, default=1, help="how many plans, one after another")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the load lasts")
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--only", default="", help="names of faults by commas")
    parser.add_argument("--without", default="", help="names of faults by commas")
    parser.add_argument("--quick", action="store_true", help="without the faults that take minutes")
    parser.add_argument("--plan", action="store_true", help="print the plans and end")
    parser.add_argument("--keep", type=Path, help="a directory that keeps servers' and workers' files")
    given = parser.parse_args(words)
    # Its messages about a broker that the campaign has stopped are noise.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    kinds = [CATALOGUE[name].kind() for name in chosen(given.only, given.without, given.quick)]
    worst = 0
    for seed in range(given.seed, given.seed + given.seeds):
        try:
            plan = make_plan(seed, given.seconds, kinds, at_least=min(AT_LEAST, len(kinds)))
        except ValueError as error:
            say(f"error: {error}")
            return 2
        told(plan, given.events)
        if not given.plan:
            worst = max(worst, _carry_out(plan, given))
    return worst


def _carry_out(plan: Plan, given: argparse.Namespace) -> int:
    with ExitStack() as stack:
        directory = given.keep / f"seed-{plan.seed}" if given.keep else stack.enter_context(stack_directory())
        if given.keep and directory.exists():
            say(f"error: {directory} is there from an earlier run: remove it, or name another with --keep")
            return 2
        directory.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        try:
            result = asyncio.run(one(plan, given.events, given.workers, directory))
        except BridgeError as error:
            say(f"error: {error}")
            return 3
        except (KeyboardInterrupt, asyncio.CancelledError):
            say("stopped by a signal: servers and workers have ended, and this run proves nothing")
            raise SystemExit(3) from None
        say(summary(result))
        for line in result.invalid:
            say(f"INVALID: {line}")
        for line in result.problems:
            say(f"BROKEN: {line}")
        took = time.monotonic() - began
        verdict = "every promise held" if result.green else "see above"
        say(f"seed {plan.seed}: {verdict} ({took:.0f} s)")
        return 1 if result.problems else 3 if result.invalid else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
