"""`bridge demo`: runs the whole system on a stack of its own, and compares the result with the input.

The stack is a Kafka and a Postgres on this machine.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from bridge.cli.common import JsonOutput, result, run, say, write_json
from bridge.cli.interrupts import sigterm_interrupts
from bridge.dev.demo.environment import own_settings
from bridge.dev.demo.mix import Mix
from bridge.dev.demo.scenario import Scenario
from bridge.dev.demo.verdict import DemoResult, counters
from bridge.dev.stack import Stack
from bridge.output.tables import Table, print_table, right
from schemas.config.settings import Settings
from schemas.documents.run_summary import RunSummary, begin_summary
from schemas.errors import BridgeError, InvalidInput, PreconditionFailed, SinkUnavailable
from telemetry.logging import configure_logs

_RETRY_DELAYS = ("1s", "2s", "4s")


def demo(
    events: Annotated[int, typer.Option(min=1, help="How many raw events to send.")] = 20_000,
    seed: Annotated[int, typer.Option(help="Seed of the random mix; the same seed makes the same events.")] = 7,
    json_output: JsonOutput = None,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Directory that keeps the stack's data; by default a temporary one.")
    ] = None,
) -> None:
    """Send a known mix of events through a gateway, Kafka, a worker and Postgres, and compare the result with the mix.

    The mix contains valid events, duplicates, broken JSON, events that violate the schema, and events of scripts that
    are registered too late or never. The exit code is 0 if the audit balances and every number matches the mix, else 1.
    """
    configure_logs("WARNING")
    begun = begin_summary("demo", datetime.now(UTC), RunSummary)
    with sigterm_interrupts(), _directory(directory) as home:
        found = _run(home, events, seed)
        if found.problems:
            say(f"the result differs from the expected one; see the logs in {home / 'logs'}")
        else:
            _remove(home, directory)
    if json_output:
        write_json(begun.ended(datetime.now(UTC), **counters(found)).model_dump(), json_output)
    if json_output != "-":
        _show(found)
    raise typer.Exit(1 if found.problems else 0)


def _run(home: Path, events: int, seed: int) -> DemoResult:
    stack = Stack(home, progress=say)
    if stack.status().running:
        raise InvalidInput(f"a stack runs in {home} already; stop it with `bridge stack down`, or choose another --dir")
    say("starting Kafka and Postgres")
    with stack as addresses:
        settings = own_settings(
            addresses, retry_delays=_RETRY_DELAYS, max_retries=len(_RETRY_DELAYS), metrics_port=0,
            # All pages of the mix share one client address, and the gateway refuses some of their requests on purpose.
            gateway_visitor_refused_per_minute=0,
        )  # fmt: skip
        mix = Mix(events, seed, time.time_ns() // 1_000_000, settings.proof_keys)
        return run(_play(settings, mix, home / "logs"))


async def _play(settings: Settings, mix: Mix, logs: Path) -> DemoResult:
    try:
        return await Scenario(settings, mix, logs, say).run()
    except SinkUnavailable as error:
        # The unreachable service belongs to the demo, so no operator can start it.
        raise PreconditionFailed(str(error)) from error


@contextmanager
def _directory(given: Path | None) -> Iterator[Path]:
    """Yield the directory of the demonstration's Kafka and Postgres: `given`, or else a temporary one.

    A temporary directory is deleted on success. On failure it stays, and the error names the logs in it.
    """
    home = given or Path(tempfile.mkdtemp(prefix="ghostlink-demo-"))
    try:
        yield home
    except (InvalidInput, KeyboardInterrupt):
        _remove(home, given)
        raise
    except BridgeError as error:
        error.args = (f"{error} (logs: {home / 'logs'})",)
        raise


def _remove(home: Path, given: Path | None) -> None:
    if given is None:
        Stack(home).purge()
        shutil.rmtree(home, ignore_errors=True)


def _show(found: DemoResult) -> None:
    """Print the result for people, on standard output."""
    outcome = found.outcome
    table = Table("what", *right("result"))
    table.add_row("in", f"{found.events:,}")
    table.add_row("  of these through the gateway", f"{found.by_http:,}")
    table.add_row("normalised", f"{outcome.normalized:,}")
    table.add_row("  of these healed by a retry", f"{outcome.healed:,}")
    for reason, count in outcome.dropped.items():
        table.add_row(f"dropped as {reason}", f"{count:,}")
    table.add_row("events/s", f"{found.events_per_second:,}")
    table.add_row("produce to row, p50", _milliseconds(outcome.p50_ms))
    table.add_row("produce to row, p99", _milliseconds(outcome.p99_ms))
    table.add_row("audit", "balanced" if found.audit.balanced else "NOT balanced")
    table.add_row("the mix's own expectation", "met" if not found.differences else "NOT met")
    print_table(table)
    for problem in found.problems:
        result(f"{problem.target}: {problem.reason}")


def _milliseconds(figure: float | None) -> str:
    return "-" if figure is None else f"{figure:,.0f} ms"
